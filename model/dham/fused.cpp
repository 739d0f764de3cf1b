// The element-wise part of one training step of a DHAM layer, in a single sweep over memory each:
// batch moments, then (affine, residual, winner-takes-all, quantiser), then its gradient.
// Compiled by model/dham/fused.py with g++; no torch headers. bf16, channels last: [pixels][channels],
// channels a multiple of 16, groups of 1, 2, 4, 8 or 16 consecutive channels.
// The same formulas in plain torch, for every device and shape, are in model/dham/quantise.py.

#include <cstdint>
#include <cstring>
#include <vector>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

typedef float f16 __attribute__((vector_size(64)));
typedef int32_t i16 __attribute__((vector_size(64)));
typedef uint32_t u16 __attribute__((vector_size(64)));
typedef uint16_t h16 __attribute__((vector_size(32)));
typedef uint8_t b16 __attribute__((vector_size(16)));

namespace {

const long CHUNK = 512;  // pixels of one partial sum
const long AHEAD = 2048;  // bytes

#ifdef __AVX512F__
// gcc 12 takes the conversions of the other branch apart, lane by lane. Same results.
inline f16 load(const uint16_t* p) {  // bf16 to float
    const __m256i half = _mm256_loadu_si256((const __m256i*)p);
    return (f16)_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16);
}

inline void store(uint16_t* p, f16 value) {  // float to bf16, to nearest even
    u16 bits = (u16)value;
    bits += 0x7fff + ((bits >> 16) & 1);
    _mm256_storeu_si256((__m256i*)p, _mm512_cvtepi32_epi16((__m512i)(bits >> 16)));
}

inline f16 load_share(const uint8_t* p) {  // 0 to 255 stands for 0 to 1
    const __m128i bytes = _mm_loadu_si128((const __m128i*)p);
    return (f16)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes)) * (1 / 255.0f);
}

inline void store_share(uint8_t* p, f16 share) {
    const __m512i whole = _mm512_cvttps_epi32((__m512)(share * 255.0f + 0.5f));
    _mm_storeu_si128((__m128i*)p, _mm512_cvtepi32_epi8(whole));
}
#else
inline f16 load(const uint16_t* p) {  // bf16 to float
    h16 half;
    std::memcpy(&half, p, 32);
    return (f16)(__builtin_convertvector(half, u16) << 16);
}

inline void store(uint16_t* p, f16 value) {  // float to bf16, to nearest even
    u16 bits = (u16)value;
    bits += 0x7fff + ((bits >> 16) & 1);
    h16 half = __builtin_convertvector(bits >> 16, h16);
    std::memcpy(p, &half, 32);
}

inline f16 load_share(const uint8_t* p) {  // 0 to 255 stands for 0 to 1
    b16 bytes;
    std::memcpy(&bytes, p, 16);
    return __builtin_convertvector(__builtin_convertvector(bytes, i16), f16) * (1 / 255.0f);
}

inline void store_share(uint8_t* p, f16 share) {
    b16 bytes = __builtin_convertvector(__builtin_convertvector(share * 255.0f + 0.5f, i16), b16);
    std::memcpy(p, &bytes, 16);
}
#endif

inline void prefetch(const void* p) {  // what a stream needs soon; past its end it does nothing
    __builtin_prefetch((const char*)p + AHEAD);
}

inline f16 load_float(const float* p) {
    f16 value;
    std::memcpy(&value, p, 64);
    return value;
}

inline f16 rounded(f16 value) {  // to bf16 and back
    u16 bits = (u16)value;
    bits += 0x7fff + ((bits >> 16) & 1);
    return (f16)(bits & 0xffff0000);
}

inline f16 larger(f16 a, f16 b) { return a > b ? a : b; }
inline f16 smaller(f16 a, f16 b) { return a < b ? a : b; }

template <int STEP, class V>
inline V partner(V v) {  // lane i receives lane i ^ STEP
    const i16 lanes = {0 ^ STEP, 1 ^ STEP, 2 ^ STEP, 3 ^ STEP, 4 ^ STEP, 5 ^ STEP, 6 ^ STEP,
                       7 ^ STEP, 8 ^ STEP, 9 ^ STEP, 10 ^ STEP, 11 ^ STEP, 12 ^ STEP, 13 ^ STEP,
                       14 ^ STEP, 15 ^ STEP};
    return __builtin_shuffle(v, lanes);
}

template <int SIZE>
inline f16 group_max(f16 v) {
    if (SIZE > 1) v = larger(v, partner<1>(v));
    if (SIZE > 2) v = larger(v, partner<2>(v));
    if (SIZE > 4) v = larger(v, partner<4>(v));
    if (SIZE > 8) v = larger(v, partner<8>(v));
    return v;
}

template <int SIZE>
inline i16 group_min(i16 v) {
    i16 o;
    if (SIZE > 1) o = partner<1>(v), v = v < o ? v : o;
    if (SIZE > 2) o = partner<2>(v), v = v < o ? v : o;
    if (SIZE > 4) o = partner<4>(v), v = v < o ? v : o;
    if (SIZE > 8) o = partner<8>(v), v = v < o ? v : o;
    return v;
}

inline f16 exp_negative(f16 x) {  // e^x for x <= 0, relative error below 1e-6
    x = larger(x * 1.44269504f, (f16){} - 125.0f);
    i16 whole = __builtin_convertvector(x, i16);  // towards zero: fraction in (-1, 0]
    f16 f = (x - __builtin_convertvector(whole, f16)) * 0.693147181f;
    f16 p = 1 + f * (1 + f * (0.5f + f * (0.166666667f + f * (0.0416666667f
          + f * (0.00833333333f + f * (0.00138888889f + f * 0.000198412698f))))));
    return p * (f16)((whole + 127) << 23);
}

struct Forward {
    const uint16_t *y, *residual;
    const float *scale, *shift;
    uint16_t *out;
    uint8_t *slope;
    long pixels;
    int channels;
    float rho, temperature, top, limit;
    int before, binary;
};

enum Mode { SOFT, HARD, QUANTISED };

template <int SIZE, Mode MODE, bool RESIDUAL>
void forward(const Forward& given) {
    const i16 lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const f16 zero = {};
    const long pixels = given.pixels;
    const Forward f = given;
#pragma omp parallel for firstprivate(f)  // a copy that no store can change: kept in registers
    for (long pixel = 0; pixel < pixels; pixel++) {
        for (int block = 0; block < f.channels / 16; block++) {
            const long at = pixel * f.channels + block * 16;
            prefetch(f.y + at);
            if (RESIDUAL) prefetch(f.residual + at);
            f16 z = load(f.y + at) * load_float(f.scale + block * 16)
                  + load_float(f.shift + block * 16);
            if (RESIDUAL) z += f.rho * load(f.residual + at);
            const f16 rectified = larger(z, zero);
            f16 level = rectified;
            if (MODE == QUANTISED) {
                level = smaller(level, zero + f.top);
                level = __builtin_convertvector(
                    __builtin_convertvector(level + 0.5f, i16), f16);
            }
            f16 share = zero + 1;  // what the winner-takes-all leaves of each channel
            if (SIZE > 1) {
                if (MODE == SOFT) {
                    share = exp_negative(f.temperature * (rectified - group_max<SIZE>(rectified)));
                } else {
                    const f16 rank = f.before || MODE == HARD ? z : level;
                    const i16 tied = rank == group_max<SIZE>(rank) ? lane : lane + 16;
                    share = lane == group_min<SIZE>(tied) ? share : zero;
                }
            }
            f16 value = level * share;
            if (f.binary) {
                const f16 on = MODE == QUANTISED ? (level > 0.5f ? zero + 1 : zero)
                                                 : (z > 0 ? zero + 1 : zero);
                value = on * share;
            }
            store(f.out + at, z == z ? value : z);  // what is not a number must reach the loss
            if (!f.slope) continue;
            f16 slope = z > 0 ? share : zero;
            if (MODE == QUANTISED) slope = z < f.limit ? slope : zero;
            store_share(f.slope + at, slope);
        }
    }
}

template <int SIZE, Mode MODE>
void forward_either(const Forward& f) {
    if (f.residual) forward<SIZE, MODE, true>(f);
    else forward<SIZE, MODE, false>(f);
}

template <int SIZE>
void forward_any(const Forward& f) {
    if (f.top > 0) forward_either<SIZE, QUANTISED>(f);
    else if (f.temperature > 0) forward_either<SIZE, SOFT>(f);
    else forward_either<SIZE, HARD>(f);
}

// The gradient of a tensor that is used twice: once whole, and once every `stride`-th pixel in both
// directions (a shortcut). Their sum is rounded to bf16, as a tensor of its own would be.
struct Twice {
    const uint16_t *whole, *sampled;  // sampled: null where there is no second use
    int height, width, stride;
};

// Walks over the pixels and reads the gradient at each.
template <bool SAMPLED>
struct Cursor {
    Twice g;
    int row = 0, column = 0;
    long line = 0;  // of the sampled rows of all images

    Cursor(const Twice& twice, long pixel) : g(twice) {
        if (!SAMPLED) return;
        const long lines = pixel / g.width;
        column = pixel % g.width, row = lines % g.height;
        const int sampled_rows = (g.height + g.stride - 1) / g.stride;
        line = lines / g.height * sampled_rows + (row + g.stride - 1) / g.stride;
    }
    f16 read(long at, int channels, int block) const {
        prefetch(g.whole + at);
        const f16 whole = load(g.whole + at);
        if (!SAMPLED || row % g.stride || column % g.stride) return whole;
        const int sampled_columns = (g.width + g.stride - 1) / g.stride;
        const uint16_t* other = g.sampled + (line * sampled_columns + column / g.stride) * channels
                              + block * 16;
        prefetch(other);
        return rounded(whole + load(other));
    }
    void next() {
        if (!SAMPLED || ++column < g.width) return;
        column = 0;
        line += row % g.stride == 0;
        if (++row == g.height) row = 0;
    }
};

// Sums of first and of second over the pixels of a chunk, for BLOCKS blocks of channels from
// `block` on: the accumulators stay in registers, and no sum waits for another's.
template <int BLOCKS, class Cursor, class Term>
inline void reduce_blocks(Cursor cursor, long pixel, long end, int channels, int block, f16* local,
                          Term term) {
    f16 sum[2 * BLOCKS] = {};
    for (; pixel < end; pixel++, cursor.next())
        for (int i = 0; i < BLOCKS; i++) {
            f16 first, second;
            term(cursor, pixel * channels + (block + i) * 16, block + i, first, second);
            sum[2 * i] += first;
            sum[2 * i + 1] += second;
        }
    for (int i = 0; i < 2 * BLOCKS; i++) local[2 * block + i] = sum[i];
}

// Sums over pixels of first and of second, which term() writes for pixel and block of channels.
template <bool SAMPLED, class Term>
void reduce(const Twice& gradient, long pixels, int channels, double* sums, Term term) {
    const long chunks = (pixels + CHUNK - 1) / CHUNK;
    const int blocks = channels / 16;
    std::vector<f16> partial(chunks * 2 * blocks);
#pragma omp parallel for
    for (long chunk = 0; chunk < chunks; chunk++) {
        f16* local = &partial[chunk * 2 * blocks];
        const long first = chunk * CHUNK, next = first + CHUNK;
        const long end = pixels < next ? pixels : next;
        const Cursor<SAMPLED> cursor(gradient, first);
        int block = 0;
        for (; block + 4 <= blocks; block += 4)
            reduce_blocks<4>(cursor, first, end, channels, block, local, term);
        for (; block + 2 <= blocks; block += 2)
            reduce_blocks<2>(cursor, first, end, channels, block, local, term);
        if (block < blocks) reduce_blocks<1>(cursor, first, end, channels, block, local, term);
    }
    for (int i = 0; i < 2 * channels; i++) sums[i] = 0;
    for (long chunk = 0; chunk < chunks; chunk++)  // in order: the same result every time
        for (int block = 0; block < blocks; block++)
            for (int i = 0; i < 16; i++) {
                sums[block * 16 + i] += partial[(chunk * blocks + block) * 2][i];
                sums[channels + block * 16 + i] += partial[(chunk * blocks + block) * 2 + 1][i];
            }
}

template <bool SAMPLED>
void backward_sums(const Twice& gradient, const uint8_t* slope, const uint16_t* y, long pixels,
                   int channels, double* sums) {
    reduce<SAMPLED>(gradient, pixels, channels, sums,
                    [=](const Cursor<SAMPLED>& cursor, long at, int block, f16& first,
                        f16& second) {
                        prefetch(y + at), prefetch(slope + at);
                        first = cursor.read(at, channels, block) * load_share(slope + at);
                        second = first * load(y + at);
                    });
}

template <bool SAMPLED, bool RESIDUAL>
void backward(const Twice& gradient, const uint8_t* slope, const uint16_t* y, const float* k,
              float rho, uint16_t* dy, uint16_t* d_residual, long pixels, int channels) {
    const long chunks = (pixels + CHUNK - 1) / CHUNK;
#pragma omp parallel for firstprivate(slope, y, k, rho, dy, d_residual, pixels, channels)
    for (long chunk = 0; chunk < chunks; chunk++) {
        Cursor<SAMPLED> cursor(gradient, chunk * CHUNK);
        const long next = (chunk + 1) * CHUNK, end = pixels < next ? pixels : next;
        for (long pixel = chunk * CHUNK; pixel < end; pixel++, cursor.next())
            for (int block = 0; block < channels / 16; block++) {
                const long at = pixel * channels + block * 16;
                const float* kb = k + block * 16;
                prefetch(y + at), prefetch(slope + at);
                const f16 dz = cursor.read(at, channels, block) * load_share(slope + at);
                store(dy + at, load_float(kb) * dz + load_float(kb + channels) * load(y + at)
                                   + load_float(kb + 2 * channels));
                if (RESIDUAL) store(d_residual + at, rho * dz);
            }
    }
}

}  // namespace

extern "C" {

// sums: [2][channels], of y and of y squared.
void dham_moments(const uint16_t* y, long pixels, int channels, double* sums) {
    reduce<false>({y, nullptr, 1, 1, 1}, pixels, channels, sums,
                  [=](const Cursor<false>& cursor, long at, int block, f16& first, f16& second) {
                      first = cursor.read(at, channels, block);
                      second = first * first;
                  });
}

// out, slope: [pixels][channels]; slope is d out / d z with the straight-through estimator, in
// steps of 1/255 (winners are 255); null where no gradient is wanted.
int dham_forward(const uint16_t* y, const uint16_t* residual, const float* scale,
                 const float* shift, uint16_t* out, uint8_t* slope, long pixels, int channels,
                 int group, float rho, float temperature, float top, float limit, int before,
                 int binary) {
    const Forward f = {y, residual, scale, shift, out, slope, pixels, channels,
                       rho, temperature, top, limit, before, binary};
    switch (group) {
        case 1: forward_any<1>(f); return 0;
        case 2: forward_any<2>(f); return 0;
        case 4: forward_any<4>(f); return 0;
        case 8: forward_any<8>(f); return 0;
        case 16: forward_any<16>(f); return 0;
    }
    return 1;
}

// sums: [2][channels], of dz and of dz * y, where dz = gradient * slope. The gradient is that of
// two uses where `sampled` is not null: every `stride`-th pixel of images of height * width.
void dham_backward_sums(const uint16_t* gradient, const uint16_t* sampled, int height, int width,
                        int stride, const uint8_t* slope, const uint16_t* y, long pixels,
                        int channels, double* sums) {
    const Twice g = {gradient, sampled, height, width, stride};
    if (sampled) backward_sums<true>(g, slope, y, pixels, channels, sums);
    else backward_sums<false>(g, slope, y, pixels, channels, sums);
}

// dy = k[0] * dz + k[1] * y + k[2] per channel; d_residual = rho * dz where it is not null.
void dham_backward(const uint16_t* gradient, const uint16_t* sampled, int height, int width,
                   int stride, const uint8_t* slope, const uint16_t* y, const float* k, float rho,
                   uint16_t* dy, uint16_t* d_residual, long pixels, int channels) {
    const Twice g = {gradient, sampled, height, width, stride};
    if (sampled && d_residual)
        backward<true, true>(g, slope, y, k, rho, dy, d_residual, pixels, channels);
    else if (sampled)
        backward<true, false>(g, slope, y, k, rho, dy, d_residual, pixels, channels);
    else if (d_residual)
        backward<false, true>(g, slope, y, k, rho, dy, d_residual, pixels, channels);
    else backward<false, false>(g, slope, y, k, rho, dy, d_residual, pixels, channels);
}
}
