/* The bus, as the rest of the firmware sees it. A test on the host replaces these few functions.
 *
 * Registers and windows are volatile words at fixed addresses. The processor stands still during
 * each access until the bus answers: a few cycles, about 135 in flash, and a whole frame after
 * CONTROL.START.
 */
#ifndef HAL_H
#define HAL_H

#include <stdint.h>

#include "constants.h"

#define ALWAYS __attribute__((always_inline))

#define ADDRESS(name) DHAM_##name##_ADDR
#define MASK(name, field) DHAM_##name##_##field##_MASK
#define LOW(name, field) DHAM_##name##_##field##_LOW

#ifdef HOST_TEST

uint32_t bus_read(uint32_t address);
void bus_write(uint32_t address, uint32_t word);
void bus_write_byte(uint32_t address, uint32_t byte);
uint32_t bus_address(const void *memory);
void bus_restart(void);

#else

ALWAYS static inline uint32_t bus_read(uint32_t address) { return *(volatile uint32_t *)address; }

ALWAYS static inline void bus_write(uint32_t address, uint32_t word) {
  *(volatile uint32_t *)address = word;
}

ALWAYS static inline void bus_write_byte(uint32_t address, uint32_t byte) {
  *(volatile uint8_t *)address = (uint8_t)byte;
}

/* Of something in the processor's memory, for the DMA. */
ALWAYS static inline uint32_t bus_address(const void *memory) { return (uint32_t)memory; }

/* Start anew. */
ALWAYS static inline void bus_restart(void) {
  bus_write(ADDRESS(BOOT), MASK(BOOT, RESTART));
  for (;;) {
  }
}

#endif

#define READ(name) bus_read(ADDRESS(name))
#define WRITE(name, word) bus_write(ADDRESS(name), (word))

/* Tell the watchdog that the firmware runs: at least each 0.5 s, where no frame runs. */
ALWAYS static inline void alive(void) { WRITE(BOOT, MASK(BOOT, ALIVE)); }

/* A word of the flash. Never while a sequential read is under way: it would wait for ever. */
ALWAYS static inline uint32_t flash_word(uint32_t address) { return bus_read(FLASH_BASE + address); }

/* A word of the directory. */
#define DIRECTORY_WORD(name) flash_word(DIRECTORY + 4 * WORD_##name)

#endif
