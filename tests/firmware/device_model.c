/* The system on chip as the firmware's C code sees it, for tests on the host: bus, stream with COBS
 * and CRC, DMA, flash, timer, UART; and an engine that computes something simple.
 *
 * Time passes with bus accesses: one is ACCESS cycles, about what the processor needs between two.
 * Bytes of the host come one each BYTE cycles, into a FIFO of FIFO_BYTES. What the real hardware
 * would never answer (a flash word during a sequential read), or what its documentation forbids, ends
 * the run with a text in `model_fault`.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../firmware/device/device.h"
#include "../../firmware/device/fewshot.h"

#define ACCESS 120
#define AHEAD 4096 /* cycles of a frame until the DMA that waits for it begins */
#define BYTE 60
#define FIFO_BYTES 512
#define FLASH_BYTES 0x100000
#define SILENCE (1 << 24) /* half of what the hardware allows (hw/soc/boot.py) */
#define LINE 0x40000
#define CLOCK 3600000u /* a tenth of the board's, so that time-outs are short */
#define MOST_ACCESSES 40000000u /* of one call of model_run */
#define PAGE 256

static uint8_t flash[FLASH_BYTES];
static uint8_t weights[DHAM_WEIGHTS_SIZE];
static uint32_t image[IMAGE_BYTES / 4], parameters[1024], layers[LAYER_ENTRIES * LAYER_WORDS];
static uint32_t logits[LOGIT_WORDS];
static uint32_t capability[CAPABILITY_WORDS];
static struct { uint32_t features, classes, layer, learned_weights, learned_parameters; } net;

/* The line from the host: a byte or, from 256 on, a silence of so many cycles less 256; or what
 * comes behind follows the next zero byte that the device sends. */
#define HOLD UINT32_MAX
static uint32_t line[LINE];
static uint32_t line_first, line_last;
static uint64_t now, line_at;
static uint64_t heard; /* of the firmware, by the watchdog */
static uint8_t fifo[FIFO_BYTES];
static uint32_t fifo_first, fifo_last;
static int overrun;

static uint8_t sent[LINE];
static uint32_t sent_count, ends; /* zero bytes sent that nothing on the line has waited for */

static struct { uint32_t left; int zero, inside; } cobs;
static struct { int valid, end, cut; uint8_t data; } token; /* the decoder's front */
static uint32_t crc_state;
static struct { int busy, waiting; uint32_t target, left, quarter, word; } dma;
static struct { int streaming, select; uint32_t address; } spi;
static struct { uint32_t count, instruction, address, data; uint8_t page[PAGE]; int enabled, busy; } chip;

static uint32_t living, leds, buttons, stop_after, done, decision, cycles, accesses, copy;
static uint32_t failing; /* frames that never end */
static uint8_t answer;   /* of the flash */
static uint32_t worn;    /* flash address of a byte that stays erased; 0: none */
static int stuck;        /* the flash stays busy */
static uint32_t span;    /* cycles of a frame, where it is to be longer than its counter says */
static int64_t power; /* steps of programming and erasing until it fails; negative: never */
static jmp_buf out;
const char *model_fault;

static void fault(const char *text) {
  model_fault = text;
  longjmp(out, 1);
}

#define CHECK(condition, text) do { if (!(condition)) fault(text); } while (0)

/* --- the line, the decoder, the CRC ---------------------------------------------------------- */

static void receive(void) {
  while (line_first != line_last && line_at <= now) {
    uint32_t item = line[line_first % LINE];
    if (item == HOLD && !ends) {
      line_at = now + 1;
      return;
    }
    line_first++;
    if (item == HOLD) {
      ends--;
    } else if (item >= 256) {
      line_at += item - 256;
    } else {
      line_at += BYTE;
      if (fifo_last - fifo_first == FIFO_BYTES) overrun = 1;
      else fifo[fifo_last++ % FIFO_BYTES] = (uint8_t)item;
    }
  }
  if (line_first == line_last && line_at < now) line_at = now;
}

static void decode(void) {
  while (!token.valid && fifo_first != fifo_last) {
    uint8_t byte = fifo[fifo_first++ % FIFO_BYTES];
    if (byte == 0) {
      token.valid = token.end = cobs.inside;
      token.cut = cobs.left != 0;
      memset(&cobs, 0, sizeof cobs);
    } else if (cobs.left == 0) {
      token.valid = cobs.zero;
      token.end = token.cut = 0;
      token.data = 0;
      cobs.left = byte - 1u;
      cobs.zero = byte != 0xFF;
      cobs.inside = 1;
    } else {
      token.valid = 1;
      token.end = token.cut = 0;
      token.data = byte;
      cobs.left--;
    }
  }
}

static uint32_t crc_step(uint32_t state, uint8_t byte) {
  state ^= byte;
  for (int bit = 0; bit < 8; bit++) state = state >> 1 ^ (state & 1 ? 0xEDB88320u : 0);
  return state;
}

/* --- memories, engine ------------------------------------------------------------------------ */

static int in(uint32_t address, uint32_t base, uint32_t bytes) {
  return address >= base && address - base < bytes;
}

static uint32_t *memory(uint32_t address) {
  uint32_t device_base = MEMORY_START, learned_base = MEMORY_START + 0x2000;
  if (in(address, device_base, sizeof device)) {
    return (uint32_t *)((char *)&device + (address - device_base));
  }
  if (in(address, learned_base, LEARNED_BYTES)) return learned + (address - learned_base) / 4;
  return 0;
}

uint32_t bus_address(const void *place) {
  const char *at = place;
  if (at >= (char *)&device && at < (char *)(&device + 1)) {
    return MEMORY_START + (uint32_t)(at - (char *)&device);
  }
  return MEMORY_START + 0x2000 + (uint32_t)(at - (char *)learned);
}

static void store(uint32_t address, uint32_t word) {
  uint32_t *place = memory(address);
  if (place) *place = word;
  else if (in(address, MEMORY_START, MEMORY_SIZE)) return; /* the firmware's own code */
  else if (in(address, DHAM_WEIGHTS_BASE, sizeof weights)) {
    memcpy(weights + (address - DHAM_WEIGHTS_BASE), &word, 4);
  } else if (in(address, DHAM_IMAGE_BASE, sizeof image)) image[(address - DHAM_IMAGE_BASE) / 4] = word;
  else if (in(address, DHAM_PARAMETERS_BASE, sizeof parameters)) {
    parameters[(address - DHAM_PARAMETERS_BASE) / 4] = word;
  } else if (in(address, DHAM_LAYERS_BASE, sizeof layers)) {
    layers[(address - DHAM_LAYERS_BASE) / 4] = word;
  }
}

/* Bias of an output: of the word of parameters at an address. */
static int32_t bias_at(uint32_t address) {
  uint64_t word = parameters[(address - DHAM_PARAMETERS_BASE) / 4];
  word |= (uint64_t)parameters[(address - DHAM_PARAMETERS_BASE) / 4 + 1] << 32;
  uint32_t field = (uint32_t)(word >> MULTIPLIER_BITS) << (32 - BIAS_BITS);
  return (int32_t)field >> (32 - BIAS_BITS);
}

/* A frame: features are image bytes, the classes' logits mix them with the weights' first bytes, the
 * learned head's are as firmware/layout.py has it. The head is in the entry's first word. */
static void run(void) {
  const uint8_t *bytes = (const uint8_t *)image;
  uint32_t head = layers[(net.layer) * LAYER_WORDS];
  uint32_t count = head == HEAD_FEATURES ? net.features : head == HEAD_LEARNED ? MAX_LEARNED : net.classes;
  done = 0;
  if (failing) { failing--; return; }
  if (layers[1] != 0xABCD || parameters[1] != 0x5A5A) count = 1; /* never loaded */
  for (uint32_t o = 0; o < count && o < LOGIT_WORDS; o++) {
    int32_t sum = 0;
    if (head == HEAD_FEATURES) {
      sum = bytes[net.features - 1 - o] + bias_at(net.learned_parameters + 8 * o);
    } else if (head == HEAD_LEARNED) {
      sum = bias_at(net.learned_parameters + 8 * o);
      for (uint32_t i = 0; i < net.features; i++) {
        uint32_t at = net.learned_weights - DHAM_WEIGHTS_BASE + (o / 8 * net.features + i) * 8 + o % 8;
        sum += (int8_t)weights[at] * bytes[i];
      }
    } else {
      for (uint32_t i = 0; i < 16; i++) sum += bytes[i] * (int32_t)((o * 7 + i) % 5) - weights[i];
    }
    logits[o] = (uint32_t)sum;
  }
  decision = 0;
  for (uint32_t o = 1; o < count; o++) {
    if ((int32_t)logits[o] > (int32_t)logits[decision]) decision = o;
  }
  cycles = 1000 + head;
  done = MASK(STATUS, DONE);
}

/* --- flash ------------------------------------------------------------------------------------ */

enum { WRITE_ENABLE = 0x06, READ_STATUS = 0x05, PROGRAM = 0x02, ERASE = 0x20,
       READ_IDENTITY = 0x9F };

static void step(void) {
  if (power == 0) fault("power");
  if (power > 0) power--;
}

/* Exchange a byte. */
static uint8_t chip_byte(uint8_t byte) {
  if (chip.count++ == 0) {
    chip.instruction = byte;
    chip.address = chip.data = 0;
    CHECK(!chip.busy || byte == READ_STATUS, "the flash is busy");
    CHECK(byte == WRITE_ENABLE || byte == READ_STATUS || byte == PROGRAM || byte == ERASE ||
          byte == READ_IDENTITY, "the flash does not know this instruction");
  } else if (chip.instruction == READ_STATUS) {
    return (uint8_t)(chip.busy && (stuck || chip.busy--));
  } else if (chip.instruction == READ_IDENTITY) {
    return (uint8_t)(0xEF4018 >> 8 * (4 - chip.count));
  } else if (chip.count <= 4) {
    chip.address = chip.address << 8 | byte;
  } else if (chip.instruction == PROGRAM) {
    CHECK(chip.data < PAGE, "more than a page is programmed");
    chip.page[chip.data++] = byte;
  }
  return 0xFF;
}

static void chip_end(void) {
  if (chip.count == 0) return;
  if (chip.instruction == WRITE_ENABLE) chip.enabled = 1;
  if (chip.instruction == ERASE || chip.instruction == PROGRAM) {
    CHECK(chip.enabled && chip.count >= 4, "written without Write Enable, or cut");
    CHECK(chip.address >= LEARNED_SLOT_0 && chip.address < LEARNED_SLOT_1 + LEARNED_BYTES,
          "written outside of the slots");
    chip.enabled = 0;
    chip.busy = 3; /* reads of its status */
  }
  if (chip.instruction == ERASE) {
    for (uint32_t at = 0; at < SECTOR_BYTES; at += PAGE) {
      step();
      memset(flash + (chip.address & ~(SECTOR_BYTES - 1)) + at, 0xFF, PAGE);
    }
  }
  if (chip.instruction == PROGRAM) {
    CHECK(chip.address % PAGE + chip.data <= PAGE, "a page is left while it is programmed");
    for (uint32_t at = 0; at < chip.data; at++) {
      step();
      if (chip.address + at != worn) flash[chip.address + at] &= chip.page[at];
    }
  }
  chip.count = 0;
}

/* --- DMA and stream ------------------------------------------------------------------------ */

static void front(void) {
  if (spi.streaming) return;
  decode();
}

static int front_valid(void) { return spi.streaming || token.valid; }
static int front_end(void) { return !spi.streaming && token.valid && token.end; }

static uint8_t take_byte(void) {
  uint8_t byte;
  if (spi.streaming) byte = flash[spi.address++ % FLASH_BYTES];
  else { byte = token.data; token.valid = 0; }
  crc_state = crc_step(crc_state, byte);
  return byte;
}

static void move_words(void) {
  for (;;) {
    front();
    if (!dma.busy || dma.waiting || !front_valid() || front_end()) return;
    dma.word = dma.word >> 8 | (uint32_t)take_byte() << 24;
    if (++dma.quarter == 4) {
      dma.quarter = 0;
      store(dma.target, dma.word);
      dma.target += 4;
      if (--dma.left == 0) dma.busy = 0;
    }
  }
}

/* A frame: the image is that of its start; bytes come, and a DMA that waited takes them. */
static void run_frame(void) {
  uint64_t begin = now, end;
  CHECK(!dma.busy || dma.waiting, "the DMA writes while the frame reads the image");
  run();
  end = begin + (span > cycles ? span : cycles);
  while (now < end) {
    now = end - now > BYTE ? now + BYTE : end;
    if (now - begin >= AHEAD) dma.waiting = 0;
    receive();
    move_words();
  }
  dma.waiting = 0;
  heard = now;
}

/* --- the bus --------------------------------------------------------------------------------- */

static void pass(void) {
  now += ACCESS;
  CHECK(now - heard < SILENCE, "the watchdog strikes");
  if (++accesses > MOST_ACCESSES) fault("hang");
  receive();
  move_words();
}

uint32_t bus_read(uint32_t address) {
  pass();
  if (address % 4) fault("misaligned");
  if (in(address, ADDRESS(ARRAY), 4 * CAPABILITY_WORDS)) return capability[(address - ADDRESS(ARRAY)) / 4];
  if (address >= FLASH_BASE && address < FLASH_BASE + 0x1000000) {
    uint32_t word;
    CHECK(!spi.streaming, "a flash word during a sequential read");
    CHECK(!spi.select, "a flash word while bytes are exchanged");
    CHECK(!chip.busy, "a flash word while the flash is busy");
    if (address - FLASH_BASE > FLASH_BYTES - 4) return UINT32_MAX;
    memcpy(&word, flash + (address - FLASH_BASE), 4);
    return word;
  }
  if (in(address, DHAM_LOGITS_BASE, sizeof logits)) return logits[(address - DHAM_LOGITS_BASE) / 4];
  if (in(address, DHAM_WEIGHTS_BASE, sizeof weights)) {
    uint32_t word;
    memcpy(&word, weights + (address - DHAM_WEIGHTS_BASE), 4);
    return word;
  }
  switch (address) {
    case ADDRESS(ID): return DHAM_IDENTITY;
    case ADDRESS(VERSION): return DHAM_MAP_VERSION;
    case ADDRESS(CLOCK_HZ): return CLOCK;
    case ADDRESS(STATUS): return done;
    case ADDRESS(CLASS): return decision;
    case ADDRESS(CYCLES): return cycles;
    case ADDRESS(STOP_AFTER): return stop_after;
    case ADDRESS(TIMER): return (uint32_t)now;
    case ADDRESS(LEDS): return leds;
    case ADDRESS(BUTTONS): return buttons;
    case ADDRESS(BOOT): return (copy ? MASK(BOOT, COPY) : 0);
    case ADDRESS(UART): return MASK(UART, READY) | (overrun ? MASK(UART, OVERRUN) : 0);
    case ADDRESS(STREAM):
      if (spi.select) return answer;
      if (dma.busy || !front_valid()) return 0;
      if (spi.streaming) return flash[spi.address % FLASH_BYTES] | MASK(STREAM, VALID);
      return MASK(STREAM, VALID) | (token.end ? MASK(STREAM, END) | (token.cut ? MASK(STREAM, CUT) : 0) : token.data);
    case ADDRESS(CRC): return ~crc_state;
    case ADDRESS(DMA_STATUS):
      return (dma.busy ? MASK(DMA_STATUS, BUSY) : 0) | (front_end() ? MASK(DMA_STATUS, END) : 0);
    case ADDRESS(FLASH): return 0;
  }
  return address < 0x100 ? 0 : UINT32_MAX;
}

void bus_write(uint32_t address, uint32_t word) {
  pass();
  if (address % 4) fault("misaligned");
  if (address >= FLASH_BASE && address < FLASH_BASE + 0x1000000) {
    CHECK(!spi.streaming && !spi.select && !chip.busy, "a sequential read while the flash is in use");
    CHECK(!dma.busy, "a sequential read while the DMA has words to move");
    spi.streaming = 1;
    spi.address = address - FLASH_BASE;
    return;
  }
  switch (address) {
    case ADDRESS(CONTROL):
      CHECK(!(word & MASK(CONTROL, REPEAT)), "frames without an end");
      if (word & MASK(CONTROL, START)) run_frame();
      return;
    case ADDRESS(STOP_AFTER): stop_after = word & 0xFF; return;
    case ADDRESS(LEDS): leds = word; return;
    case ADDRESS(BOOT):
      if (word & MASK(BOOT, ALIVE)) living = 1, heard = now;
      if (word & MASK(BOOT, RESTART)) longjmp(out, 2);
      return;
    case ADDRESS(UART):
      if (word & MASK(UART, SEND) && sent_count < LINE) {
        sent[sent_count++] = (uint8_t)word;
        ends += !(word & MASK(UART, DATA));
      }
      if (word & MASK(UART, OVERRUN_CLEAR)) overrun = 0;
      return;
    case ADDRESS(STREAM):
      if (word & MASK(STREAM, NEXT) && !dma.busy && front_valid()) {
        if (front_end()) token.valid = 0;
        else take_byte();
      }
      return;
    case ADDRESS(CRC_FEED):
      if (word & MASK(CRC_FEED, CLEAR)) crc_state = UINT32_MAX;
      if (word & MASK(CRC_FEED, FEED)) {
        CHECK(!dma.busy, "a byte is fed while the DMA is busy");
        crc_state = crc_step(crc_state, (uint8_t)word);
      }
      return;
    case ADDRESS(DMA_TARGET):
      if (word & MASK(DMA_TARGET, LOAD)) dma.target = 4 * (word & MASK(DMA_TARGET, WORD));
      return;
    case ADDRESS(DMA):
      if (word & MASK(DMA, START)) {
        CHECK(word & MASK(DMA, WORDS), "a DMA of no words");
        CHECK(!dma.busy, "a DMA is started while one is under way");
        dma.busy = 1;
        dma.left = word & MASK(DMA, WORDS);
        dma.quarter = 0;
        dma.waiting = (word & MASK(DMA, WAIT)) != 0;
        CHECK(!dma.waiting || !spi.streaming, "the DMA waits with the flash's bytes");
      }
      if (word & MASK(DMA, STOP)) dma.busy = 0;
      return;
    case ADDRESS(FLASH):
      if (word & MASK(FLASH, STOP)) {
        spi.streaming = 0;
        if (spi.select) chip_end();
        spi.select = 0;
      }
      if (word & MASK(FLASH, SEND)) {
        CHECK(spi.select, "a byte is sent to a flash that is not selected");
        answer = chip_byte((uint8_t)word);
      } else if (word & MASK(FLASH, SELECT)) {
        CHECK(!spi.streaming, "bytes are exchanged during a sequential read");
        spi.select = 1;
      }
      return;
  }
  store(address, word);
}

void bus_write_byte(uint32_t address, uint32_t byte) {
  pass();
  CHECK(in(address, DHAM_WEIGHTS_BASE, sizeof weights), "a byte is written outside of the weights");
  weights[address - DHAM_WEIGHTS_BASE] = (uint8_t)byte;
}

void bus_restart(void) { bus_write(ADDRESS(BOOT), MASK(BOOT, RESTART)); }


/* --- what the tests call ------------------------------------------------------------------------ */

uint8_t *model_flash(void) { return flash; }
uint8_t *model_weights(void) { return weights; }
const uint8_t *model_sent(void) { return sent; }

/* What the engine is built for, and what its network looks like. */
void model_build(const uint32_t *words, uint32_t features, uint32_t classes, uint32_t weights_at,
                 uint32_t parameters_at) {
  memcpy(capability, words, sizeof capability);
  net.features = features;
  net.classes = classes;
  net.learned_weights = weights_at;
  net.learned_parameters = parameters_at;
}

void model_buttons(uint32_t pressed) { buttons = pressed; }
void model_copy(uint32_t number) { copy = number; }
void model_power(int64_t steps) { power = steps; }
void model_worn(uint32_t address) { worn = address; }
void model_stuck(int on) { stuck = on; }
void model_failing(uint32_t frames) { failing = frames; }
void model_span(uint32_t count) { span = count; }
uint32_t model_leds(void) { return leds; }
uint64_t model_now(void) { return now; }

/* The bytes sent since the last call; model_sent() has them. */
uint32_t model_take(void) {
  uint32_t count = sent_count;
  sent_count = ends = 0;
  return count;
}

/* The line: bytes as fast as it can, or a silence. */
void model_feed(const uint8_t *bytes, uint32_t count) {
  while (count--) line[line_last++ % LINE] = *bytes++;
}
void model_silence(uint32_t count) { line[line_last++ % LINE] = 256 + count; }
void model_hold(void) { line[line_last++ % LINE] = HOLD; }

/* Poll until the line is empty and so many more cycles have passed; NULL, or what is wrong. */
const char *model_run(uint32_t count) {
  int jump = setjmp(out);
  if (jump == 1) return model_fault;
  accesses = 0;
  if (jump == 2) {
    memset(&device, 0, sizeof device);
    heard = now;
    device_boot();
  }
  for (;;) {
    receive();
    if (line_first == line_last && fifo_first == fifo_last) break;
    device_poll();
  }
  for (uint64_t end = now + count; now < end;) device_poll();
  return 0;
}

/* Power on: all that is volatile is lost, but for what still comes on the line. */
const char *model_on(void) {
  memset(&device, 0, sizeof device);
  memset(learned, 0xA5, LEARNED_BYTES);
  memset(weights, 0xA5, sizeof weights);
  memset(parameters, 0xA5, sizeof parameters);
  memset(layers, 0xA5, sizeof layers);
  memset(&cobs, 0, sizeof cobs);
  memset(&token, 0, sizeof token);
  memset(&dma, 0, sizeof dma);
  memset(&spi, 0, sizeof spi);
  memset(&chip, 0, sizeof chip);
  living = leds = done = decision = cycles = failing = worn = 0;
  stuck = 0;
  overrun = 0;
  fifo_first = fifo_last = line_first = line_last = sent_count = 0;
  power = -1;
  line_at = heard = now;
  accesses = 0;
  if (setjmp(out)) return model_fault;
  device_boot();
  CHECK(living, "the firmware is not alive");
  return 0;
}
