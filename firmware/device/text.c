/* Text for people: lines between zero bytes, so that no frame is mistaken for one. */
#include "arithmetic.h"
#include "device.h"

void uart_send(uint32_t byte) {
  while (!(READ(UART) & MASK(UART, READY))) {
  }
  WRITE(UART, byte | MASK(UART, SEND));
}

void text_begin(void) { uart_send(0); }

void text(const char *words) {
  while (*words) {
    uart_send((uint8_t)*words++);
  }
}

/* A name in flash that zero bytes fill. */
void text_name(uint32_t address, uint32_t bytes) {
  for (uint32_t at = 0; at < bytes; at++) {
    uint32_t byte = flash_word(address + (at & ~3u)) >> 8 * (at & 3) & 0xFF;
    if (byte == 0) {
      return;
    }
    uart_send(byte);
  }
}

void text_number(uint32_t number) {
  char digits[11];
  char *digit = digits + sizeof digits;
  *--digit = 0;
  do {
    uint32_t tens = divide(number, 10);
    *--digit = (char)('0' + number - multiply(tens, 10));
    number = tens;
  } while (number);
  text(digit);
}

void text_end(void) {
  text("\r\n");
  uart_send(0);
}
