// The element-wise part of one training step of a DHAM layer, in a single sweep over memory each:
// batch moments, then (affine, residual, winner-takes-all, quantiser), then its gradient.
// Compiled by model/fused.py with g++; no torch headers. bf16, channels last: [pixels][channels],
// channels a multiple of 16, groups of 1, 2, 4, 8 or 16 consecutive channels.
// The same formulas in plain torch, for every device and shape, are in model/quantise.py.

#include <cstdint>
#include <cstring>
#include <vector>

typedef float f16 __attribute__((vector_size(64)));
typedef int32_t i16 __attribute__((vector_size(64)));
typedef uint32_t u16 __attribute__((vector_size(64)));
typedef uint16_t h16 __attribute__((vector_size(32)));
typedef uint8_t b16 __attribute__((vector_size(16)));

namespace {

const long CHUNK = 512;  // pixels of one partial sum
const int MAX_BLOCKS = 64;  // 16 channels each

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

inline f16 load_float(const float* p) {
    f16 value;
    std::memcpy(&value, p, 64);
    return value;
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

template <int SIZE, bool SOFT, bool RESIDUAL>
void forward(const Forward& f) {
    const i16 lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const f16 zero = {};
    const bool quantised = f.top > 0;
    const f16 top = zero + (quantised ? f.top : 3.0e38f);
    const int blocks = f.channels / 16;
#pragma omp parallel for
    for (long pixel = 0; pixel < f.pixels; pixel++) {
        for (int block = 0; block < blocks; block++) {
            const long at = pixel * f.channels + block * 16;
            f16 z = load(f.y + at) * load_float(f.scale + block * 16)
                  + load_float(f.shift + block * 16);
            if (RESIDUAL) z += f.rho * load(f.residual + at);
            const f16 rectified = larger(z, zero);
            f16 level = rectified;
            if (quantised) {
                level = smaller(level, top);
                level = __builtin_convertvector(
                    __builtin_convertvector(level + 0.5f, i16), f16);
            }
            f16 share = zero + 1;  // what the winner-takes-all leaves of each channel
            if (SIZE > 1) {
                const f16 rank = f.before || !quantised ? z : level;
                const f16 best = group_max<SIZE>(rank);
                if (SOFT) {
                    share = exp_negative(f.temperature * (rectified - group_max<SIZE>(rectified)));
                } else {
                    const i16 tied = rank == best ? lane : lane + 16;
                    share = lane == group_min<SIZE>(tied) ? share : zero;
                }
            }
            f16 value = level * share;
            if (f.binary) {
                const f16 on = quantised ? (level > 0.5f ? zero + 1 : zero)
                                         : (z > 0 ? zero + 1 : zero);
                value = on * share;
            }
            store(f.out + at, value);
            f16 slope = z > 0 ? share : zero;
            if (quantised) slope = z < f.limit ? slope : zero;
            store_share(f.slope + at, slope);
        }
    }
}

template <int SIZE>
void forward_any(const Forward& f) {
    const bool soft = f.temperature > 0;
    if (soft && f.residual) forward<SIZE, true, true>(f);
    else if (soft) forward<SIZE, true, false>(f);
    else if (f.residual) forward<SIZE, false, true>(f);
    else forward<SIZE, false, false>(f);
}

// Sums over pixels of first and of second, which term() writes for pixel and block of channels.
template <class Term>
void reduce(long pixels, int channels, double* sums, Term term) {
    const long chunks = (pixels + CHUNK - 1) / CHUNK;
    const int blocks = channels / 16;
    std::vector<f16> partial(chunks * 2 * blocks);
#pragma omp parallel for
    for (long chunk = 0; chunk < chunks; chunk++) {
        f16 local[2 * MAX_BLOCKS] = {};
        const long end = pixels < (chunk + 1) * CHUNK ? pixels : (chunk + 1) * CHUNK;
        for (long pixel = chunk * CHUNK; pixel < end; pixel++)
            for (int block = 0; block < blocks; block++) {
                f16 first, second;
                term(pixel * channels + block * 16, first, second);
                local[2 * block] += first;
                local[2 * block + 1] += second;
            }
        for (int i = 0; i < 2 * blocks; i++) partial[chunk * 2 * blocks + i] = local[i];
    }
    for (int i = 0; i < 2 * channels; i++) sums[i] = 0;
    for (long chunk = 0; chunk < chunks; chunk++)  // in order: the same result every time
        for (int block = 0; block < blocks; block++)
            for (int i = 0; i < 16; i++) {
                sums[block * 16 + i] += partial[(chunk * blocks + block) * 2][i];
                sums[channels + block * 16 + i] += partial[(chunk * blocks + block) * 2 + 1][i];
            }
}

}  // namespace

extern "C" {

// sums: [2][channels], of y and of y squared.
void dham_moments(const uint16_t* y, long pixels, int channels, double* sums) {
    reduce(pixels, channels, sums, [=](long at, f16& first, f16& second) {
        first = load(y + at);
        second = first * first;
    });
}

// out, slope: [pixels][channels]; slope is d out / d z with the straight-through estimator, in
// steps of 1/255 (winners are 255).
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

// sums: [2][channels], of dz and of dz * y, where dz = gradient * slope.
void dham_backward_sums(const uint16_t* gradient, const uint8_t* slope, const uint16_t* y,
                        long pixels, int channels, double* sums) {
    reduce(pixels, channels, sums, [=](long at, f16& first, f16& second) {
        first = load(gradient + at) * load_share(slope + at);
        second = first * load(y + at);
    });
}

// dy = k[0] * dz + k[1] * y + k[2] per channel; d_residual = rho * dz where it is not null.
void dham_backward(const uint16_t* gradient, const uint8_t* slope, const uint16_t* y,
                   const float* k, float rho, uint16_t* dy, uint16_t* d_residual, long pixels,
                   int channels) {
    const int blocks = channels / 16;
#pragma omp parallel for
    for (long pixel = 0; pixel < pixels; pixel++)
        for (int block = 0; block < blocks; block++) {
            const long at = pixel * channels + block * 16;
            const float* kb = k + block * 16;
            const f16 dz = load(gradient + at) * load_share(slope + at);
            store(dy + at, load_float(kb) * dz + load_float(kb + channels) * load(y + at)
                               + load_float(kb + 2 * channels));
            if (d_residual) store(d_residual + at, rho * dz);
        }
}
}
