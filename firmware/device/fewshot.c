/* Few-shot arithmetic. Nearest class mean is a linear classifier: the largest m.f - |m|^2 / 2.
 *
 * All classes have the same shift e, the smallest at which all fit: weights are means in units of
 * 2 ** e, and biases have the same unit. docs/few-shot.md has the formulas.
 */
#include "fewshot.h"

#include "arithmetic.h"
#include "constants.h"

#define BIAS_SPAN ((uint32_t)(((uint64_t)1 << BIAS_BITS) - 1)) /* 2 * largest -bias + 1 */

void fewshot_means(uint32_t *means, const uint32_t *sums, uint32_t images, uint32_t features) {
  for (uint32_t i = 0; i < features; i++) {
    means[i] = divide(16 * sums[i] + images / 2, images);
  }
}

uint32_t fewshot_weight(uint32_t mean, uint32_t e) { return (mean + (8u << e)) >> (e + 4); }

int fewshot_fits(const uint32_t *means, uint32_t features, uint32_t group, uint32_t most,
                 uint32_t e, uint32_t *bias) {
  uint32_t squares = 0;
  uint32_t sum = 0;
  uint32_t largest = 0;
  uint32_t left = group;
  for (uint32_t i = 0; i < features; i++) {
    uint32_t weight = fewshot_weight(means[i], e);
    if (weight > 127) {
      return 0;
    }
    squares += multiply(weight, weight);
    if (weight > largest) {
      largest = weight;
    }
    if (--left == 0) {
      sum += largest;
      largest = 0;
      left = group;
    }
  }
  /* (squares << e) / 2 is the bias; compared without leaving 32 bits. */
  if (squares > BIAS_SPAN >> e || sum > most) {
    return 0;
  }
  *bias = (squares << e) >> 1;
  return 1;
}
