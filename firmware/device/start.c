/* Start-up of the firmware, at the start of the memory, where the hardware has put and checked it:
 * stack, zeros, then the endless loop. */
#include "device.h"

__attribute__((naked, section(".start"), used)) void _start(void) {
  __asm__ volatile(
      ".option push\n\t.option norelax\n\tla gp, __global_pointer$\n\t.option pop\n\t"
      "la sp, memory_end\n\tj run");
}

__attribute__((noreturn, used)) void run(void) {
  extern uint32_t bss_start[], bss_end[];
  for (volatile uint32_t *word = bss_start; word != bss_end; word++) {
    *word = 0;
  }
  device_boot();
  for (;;) {
    device_poll();
  }
}
