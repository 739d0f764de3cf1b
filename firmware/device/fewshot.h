/* Few-shot arithmetic: from sums of features to the weights and bias of a classifier. */
#ifndef FEWSHOT_H
#define FEWSHOT_H

#include <stdint.h>

/* Mean of `images` images in sixteenths, rounded half up, of each of `features` sums, each below
 * 2 ** 28 - images / 32. */
void fewshot_means(uint32_t *means, const uint32_t *sums, uint32_t images, uint32_t features);

/* The weight that a mean becomes at shift e, rounded half up. Means are at most 2 ** 28. */
uint32_t fewshot_weight(uint32_t mean, uint32_t e);

/* `features` is a multiple of `group`. Where weights at shift e fit their 8 bits, the bias its
 * BIAS_BITS, and the weights of winners, one of each `group` features, add up to at most `most`: 1,
 * and the negative of the bias. */
int fewshot_fits(const uint32_t *means, uint32_t features, uint32_t group, uint32_t most,
                 uint32_t e, uint32_t *bias);

#endif
