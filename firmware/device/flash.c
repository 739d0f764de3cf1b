/* The flash: sequential reads by stream and DMA, and what is written byte by byte.
 *
 * Instructions and times: Winbond W25Q128JV datasheet, sections 8.1.2 and 9.6.
 */
#include "device.h"

enum {
  WRITE_ENABLE = 0x06,
  READ_STATUS = 0x05,
  PAGE_PROGRAM = 0x02,
  SECTOR_ERASE = 0x20,
  READ_IDENTITY = 0x9F,
};

#define PAGE_WORDS 64
#define STATUS_BUSY 1u
#define ERASE_TENTHS 10 /* a sector takes at most 0.4 s, a page 3 ms */

/* What the DMA writes there is lost: the window is read-only. */
#define NOWHERE DHAM_ACTIVATIONS_BASE
_Static_assert(DHAM_ACTIVATIONS_SIZE / 4 > DMA_MOST_WORDS, "the DMA would leave the window");

/* More than DMA_MOST_WORDS go nowhere only: no memory is larger. */
uint32_t flash_copy(uint32_t address, uint32_t words, uint32_t target) {
  WRITE(CRC_FEED, MASK(CRC_FEED, CLEAR));
  bus_write(FLASH_BASE + address, 0);
  while (words) {
    alive();
    uint32_t part = words < DMA_MOST_WORDS ? words : DMA_MOST_WORDS;
    WRITE(DMA_TARGET, target / 4 | MASK(DMA_TARGET, LOAD));
    WRITE(DMA, part | MASK(DMA, START));
    while (READ(DMA_STATUS) & MASK(DMA_STATUS, BUSY)) {
    }
    words -= part;
  }
  WRITE(FLASH, MASK(FLASH, STOP));
  return READ(CRC);
}

uint32_t flash_crc(uint32_t address, uint32_t words) {
  return flash_copy(address, words, NOWHERE);
}

uint32_t crc_feed(const uint8_t *bytes, uint32_t count) {
  WRITE(CRC_FEED, MASK(CRC_FEED, CLEAR));
  while (count--) {
    WRITE(CRC_FEED, *bytes++ | MASK(CRC_FEED, FEED));
  }
  return READ(CRC);
}

static uint32_t exchange(uint32_t byte) {
  WRITE(FLASH, byte | MASK(FLASH, SEND));
  while (READ(FLASH) & MASK(FLASH, BUSY)) {
  }
  return READ(STREAM) & MASK(STREAM, DATA);
}

/* Each part of what is written begins with one, so this is where the watchdog hears of it. */
static void command(uint32_t instruction) {
  alive();
  WRITE(FLASH, MASK(FLASH, SELECT));
  exchange(instruction);
}

static void end(void) { WRITE(FLASH, MASK(FLASH, STOP)); }

/* An instruction with its address, on a page or sector that may be changed from now on. */
static void change(uint32_t instruction, uint32_t address) {
  address += FLASH_OFFSET; /* the hardware adds that to what is read, not to bytes by hand */
  command(WRITE_ENABLE);
  end();
  command(instruction);
  exchange(address >> 16);
  exchange(address >> 8 & 0xFF);
  exchange(address & 0xFF);
}

/* End the instruction, and wait until it is done. */
static int done(void) {
  uint32_t since = READ(TIMER);
  uint32_t wait = 0;
  end();
  do {
    uint32_t status;
    command(READ_STATUS);
    status = exchange(0);
    end();
    if (!(status & STATUS_BUSY)) {
      return 1;
    }
    if (READ(TIMER) - since > device.tenth) {
      since += device.tenth;
      wait++;
    }
  } while (wait < ERASE_TENTHS);
  return 0;
}

int flash_write(uint32_t address, const uint32_t *words, uint32_t count) {
  for (uint32_t offset = 0; offset < 4 * count; offset += SECTOR_BYTES) {
    change(SECTOR_ERASE, address + offset);
    if (!done()) {
      return 0;
    }
  }
  for (uint32_t at = 0; at < count; at += PAGE_WORDS) {
    const uint8_t *byte = (const uint8_t *)(words + at);
    const uint8_t *last = byte + 4 * (count - at < PAGE_WORDS ? count - at : PAGE_WORDS);
    change(PAGE_PROGRAM, address + 4 * at);
    while (byte != last) {
      exchange(*byte++);
    }
    if (!done()) {
      return 0;
    }
  }
  return 1;
}

void flash_identify(void) {
  command(READ_IDENTITY);
  for (int byte = 0; byte < 3; byte++) {
    device.flash_id = device.flash_id << 8 | exchange(0);
  }
  end();
}
