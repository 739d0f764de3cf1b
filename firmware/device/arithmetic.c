/* What RV32I has no instruction for, under the names by which a compiler asks for it.
 *
 * Processor cycles matter here (about 40 an instruction): loops end with the highest bit that is
 * set.
 */
#include "arithmetic.h"

uint32_t divide(uint32_t number, uint32_t divisor) {
  uint32_t quotient = 0;
  uint32_t bit = 1;
  if (divisor == 0) {
    return UINT32_MAX;
  }
  while (divisor < number && !(divisor >> 31)) {
    divisor <<= 1;
    bit <<= 1;
  }
  do {
    if (number >= divisor) {
      number -= divisor;
      quotient |= bit;
    }
    divisor >>= 1;
    bit >>= 1;
  } while (bit);
  return quotient;
}

uint32_t multiply(uint32_t one, uint32_t other) {
  uint32_t product = 0;
  for (; other; other >>= 1) {
    if (other & 1) {
      product += one;
    }
    one <<= 1;
  }
  return product;
}

#ifndef HOST_TEST

#include <stddef.h>

uint32_t __mulsi3(uint32_t one, uint32_t other) { return multiply(one, other); }
uint32_t __udivsi3(uint32_t number, uint32_t divisor) { return divide(number, divisor); }

void *memcpy(void *to, const void *from, size_t bytes) {
  volatile uint8_t *target = to;
  for (const uint8_t *byte = from; bytes; bytes--) {
    *target++ = *byte++;
  }
  return to;
}

void *memset(void *to, int value, size_t bytes) {
  for (volatile uint8_t *target = to; bytes; bytes--) {
    *target++ = (uint8_t)value;
  }
  return to;
}

#endif
