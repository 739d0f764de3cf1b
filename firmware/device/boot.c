/* The boot program: runs from flash at power-on, brings the firmware into memory, starts it.
 *
 * It stands at the start of each copy in flash; FIRMWARE_WORDS words of firmware, the last of them
 * the CRC-32 of the others, follow at BOOT_BYTES. While a sequential read is under way nothing can
 * run from the flash, so the loader is copied to the end of the memory and does the rest there.
 * Where the CRC is wrong it waits: the hardware's watchdog takes the other copy (hw/soc/boot.py).
 */
#include "hal.h"

/* By the address alone: a call would be relative to where the code was linked, and keep `ra`. */
__attribute__((always_inline, noreturn)) static inline void jump(const void *address) {
  __asm__ volatile("jr %0" : : "r"(address));
  __builtin_unreachable();
}

__attribute__((noreturn, used, section(".loader"))) void load(void) {
  WRITE(CRC_FEED, MASK(CRC_FEED, CLEAR));
  WRITE(DMA_TARGET, MEMORY_START / 4 | MASK(DMA_TARGET, LOAD));
  bus_write(FLASH_BASE + FIRMWARE_COPY + BOOT_BYTES, 0);
  WRITE(DMA, FIRMWARE_WORDS | MASK(DMA, START));
  while (READ(DMA_STATUS) & MASK(DMA_STATUS, BUSY)) {
  }
  WRITE(FLASH, MASK(FLASH, STOP));
  if (READ(CRC) == CRC_RESIDUE) {
    jump((const void *)MEMORY_START);
  }
  for (;;) {
  }
}

__attribute__((noreturn, used)) void boot(void) {
  extern uint32_t loader_start[], loader_end[], loader_source[];
  const uint32_t *from = loader_source;
  for (volatile uint32_t *to = loader_start; to != loader_end; to++) {
    *to = *from++;
  }
  jump(loader_start);
}

/* The stack ends where the loader begins. */
__attribute__((naked, section(".start"), used)) void _start(void) {
  __asm__ volatile("la sp, loader_start\n\tj boot");
}
