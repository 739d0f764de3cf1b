/* Multiplication and division in software. */
#ifndef ARITHMETIC_H
#define ARITHMETIC_H

#include <stdint.h>

/* Rounded down; all ones for divisor 0, as RISC-V's own instruction has it. */
uint32_t divide(uint32_t number, uint32_t divisor);

/* Modulo 2 ** 32; quick where `other` is small. */
uint32_t multiply(uint32_t one, uint32_t other);

#endif
