/* Frames from the host: taken, checked, executed, answered. docs/protocol.md, firmware/protocol.py.
 *
 * The hardware decodes COBS and computes the CRC; images go to their memory by DMA as they come.
 * Whatever comes, every wait here ends within 0.1 s of silence.
 */
#include "arithmetic.h"
#include "device.h"

#define HEAD_BYTES 4
#define CRC_BYTES 4
#define NAMES_LEARNED 0x8000u
#define MOST_NAMES 12
#define COBS_BLOCK 254

#define LATE 0x80000000u /* beside the bits of STREAM */

/* Sets of commands. */
#define ALL_COMMANDS ((2u << COMMAND_NAMES) - (1u << COMMAND_INFO))
#define IMAGE_COMMANDS (1u << COMMAND_CLASSIFY | 1u << COMMAND_FEATURES | 1u << COMMAND_LEARN)
#define NETWORK_COMMANDS \
  (IMAGE_COMMANDS | 1u << COMMAND_BENCH | 1u << COMMAND_FORGET | 1u << COMMAND_NAMES)

static uint32_t in(uint32_t command, uint32_t set) { return command < 32 && set >> command & 1; }

_Static_assert(REPLY_WORDS >= 2 + INFO_WORDS + INFO_NAME_BYTES / 4, "room for INFO");
_Static_assert(REPLY_WORDS >= 2 + MAX_FEATURES, "room for means (learned.c)");
_Static_assert(REPLY_WORDS >= 3 + MAX_FEATURES, "room for FEATURES");
_Static_assert(REPLY_WORDS >= 2 + MOST_NAMES * LABEL_WORDS, "room for NAMES");

/* What is at the front of the stream, as STREAM has it, or LATE. */
static uint32_t look(void) {
  uint32_t since = READ(TIMER);
  alive();
  do {
    uint32_t token = READ(STREAM);
    if (token & MASK(STREAM, VALID)) {
      return token;
    }
  } while (READ(TIMER) - since <= device.tenth);
  return LATE;
}

/* The next byte or end of the stream, likewise. */
static uint32_t take(void) {
  uint32_t token = look();
  if (token != LATE) {
    WRITE(STREAM, MASK(STREAM, NEXT));
  }
  return token;
}

/* Begin to move words from the stream to the bus. */
static void begin(uint32_t target, uint32_t words) {
  WRITE(DMA_TARGET, target / 4 | MASK(DMA_TARGET, LOAD));
  WRITE(DMA, words | MASK(DMA, START));
}

/* Until all words are there: 0; or until the frame ends: its end, which is not taken; or, where
 * neither happens, LATE. */
static uint32_t finish(void) {
  uint32_t since = READ(TIMER);
  uint32_t before = 0;
  uint32_t stop = MASK(STREAM, END);
  for (;;) {
    uint32_t status = READ(DMA_STATUS);
    if (!(status & MASK(DMA_STATUS, BUSY))) {
      return 0;
    }
    if (status & MASK(DMA_STATUS, END)) {
      break;
    }
    /* The CRC changes with every byte. */
    uint32_t crc = READ(CRC);
    if (crc != before) {
      alive(); /* garbage may come for ever */
      before = crc;
      since = READ(TIMER);
    } else if (READ(TIMER) - since > device.tenth) {
      stop = LATE;
      break;
    }
  }
  WRITE(DMA, MASK(DMA, STOP));
  return stop;
}

static uint32_t move(uint32_t target, uint32_t words) {
  begin(target, words);
  return finish();
}

/* The start of a request: its head and the word behind it, which every request has, of its data or
 * its CRC. Gives what stopped it, or 0. */
static uint32_t take_start(void) {
  WRITE(CRC_FEED, MASK(CRC_FEED, CLEAR));
  return move(bus_address(&device.request), (HEAD_BYTES + CRC_BYTES) / 4);
}

/* What a request has behind that, for some commands: a label and an image, each to its place, since
 * bytes that the processor takes come too slowly for the FIFO. Gives what stopped it, or 0; and the
 * bytes that are in the request, TOO_MANY where it has a wrong length or nobody needs the rest.
 */
#define TOO_MANY (sizeof device.request)
#define IMAGE_PLACE 4 /* bytes for which an image counts */

static uint32_t take_image(uint32_t *count) {
  uint32_t command = device.request.command;
  uint32_t has_image = in(command, IMAGE_COMMANDS);
  uint32_t token = 0;
  *count = HEAD_BYTES + CRC_BYTES;
  if (!in(command, ALL_COMMANDS) || (has_image && !ready())) {
    *count = TOO_MANY;
  } else if (has_image) {
    uint32_t target = DHAM_IMAGE_BASE;
    uint32_t words = device.image_words;
    if (command == COMMAND_LEARN) {
      token = move(bus_address(device.request.data + 1), LABEL_WORDS - 1);
      *count += LABEL_BYTES;
    } else {
      bus_write(target, device.request.data[0]);
      target += 4;
      words--;
    }
    if (!token) {
      if (device.ahead != COMING) {
        begin(target, words);
      }
      token = finish();
    }
    if (token) {
      *count = TOO_MANY;
    }
  }
  return token;
}

/* Before a frame, where the next request is promised: take its start; its image comes meanwhile,
 * behind the one that the frame reads. */
static void start_next(void) {
  if (look() == LATE) {
    return;
  }
  device.stopped = take_start();
  device.ahead = STARTED;
  if (!device.stopped && device.request.command == COMMAND_CLASSIFY) {
    begin(DHAM_IMAGE_BASE + 4, (device.image_words - 1) | MASK(DMA, WAIT));
    device.ahead = COMING;
  }
}

/* The reply in its place: CRC, COBS, a zero byte. The loops are short: each byte of a reply takes
 * longer here than on the line. */
static void answer(void) {
  const uint8_t *byte = device.reply.bytes;
  const uint8_t *end = byte + HEAD_BYTES + 4 * device.reply_words;
  device.reply.data[device.reply_words] = crc_feed(byte, (uint32_t)(end - byte));
  end += CRC_BYTES;
  for (;;) {
    const uint8_t *block = byte;
    const uint8_t *most = end - byte > COBS_BLOCK ? byte + COBS_BLOCK : end;
    while (byte != most && *byte) {
      byte++;
    }
    uart_send((uint32_t)(byte - block) + 1);
    while (block != byte) {
      while (!(READ(UART) & MASK(UART, READY))) {
      }
      WRITE(UART, *block++ | MASK(UART, SEND));
    }
    if (byte == end) {
      break;
    }
    if (byte != most) { /* the block stands for a zero byte too */
      byte++;
    }
  }
  uart_send(0);
}

static void put(uint32_t word) { device.reply.data[device.reply_words++] = word; }

static void info(void) {
  uint32_t *data = device.reply.data;
  for (device.reply_words = 0; device.reply_words < INFO_WORDS + INFO_NAME_BYTES / 4;) {
    put(0);
  }
  data[INFO_PROTOCOL_VERSION] = PROTOCOL_VERSION;
  data[INFO_FIRMWARE_VERSION] = FIRMWARE_MAJOR << 16 | FIRMWARE_MINOR;
  data[INFO_MAP_VERSION] = READ(VERSION);
  data[INFO_CLOCK_HZ] = READ(CLOCK_HZ);
  data[INFO_BOOT_COPY] = (READ(BOOT) & MASK(BOOT, COPY)) >> LOW(BOOT, COPY);
  data[INFO_BOOT_ERROR] = boot_error();
  data[INFO_SELFTEST_EQUAL] = device.equal;
  data[INFO_SELFTEST_VECTORS] = device.vectors;
  data[INFO_MAX_LEARNED] = device.max_learned;
  data[INFO_FLASH_ID] = device.flash_id;
  data[INFO_FRAME_CYCLES] = device.cycles;
  if (!device.classes) {
    return; /* the directory is damaged */
  }
  for (uint32_t word = 0; word < 8; word++) {
    data[INFO_NETWORK_HASH0 + word] = flash_word(DIRECTORY + 4 * (WORD_NETWORK_HASH0 + word));
    data[INFO_WORDS + word] = flash_word(DIRECTORY + 4 * (WORD_NETWORK_NAME0 + word));
  }
  data[INFO_IMAGE_BYTES] = 4 * device.image_words;
  data[INFO_IMAGE_HEIGHT] = DIRECTORY_WORD(IMAGE_HEIGHT);
  data[INFO_IMAGE_WIDTH] = DIRECTORY_WORD(IMAGE_WIDTH);
  data[INFO_IMAGE_CHANNELS] = DIRECTORY_WORD(IMAGE_CHANNELS);
  data[INFO_CLASSES] = device.classes;
  data[INFO_FEATURES] = device.features;
  data[INFO_LEARNED] = learned[SLOT_CLASSES];
  data[INFO_DEMO] = DIRECTORY_WORD(DEMO);
  data[INFO_WINDOW] = DIRECTORY_WORD(WINDOW);
}
_Static_assert(INFO_NAME_BYTES == 4 * (WORD_IMAGE_BYTES - WORD_NETWORK_NAME0), "name as in flash");

static uint32_t retest(void) {
  network_load();
  if (device.vectors == 0) {
    return STATUS_NOT_READY;
  }
  put(device.equal);
  put(device.vectors);
  put(device.cycles);
  return STATUS_OK;
}

static uint32_t frame(uint32_t head, uint32_t more) {
  network_select(head);
  if (more) {
    start_next();
  }
  return network_run() ? STATUS_OK : STATUS_ENGINE_FAILED;
}

static uint32_t classify(void) {
  uint32_t classes = device.classes;
  uint32_t head = HEAD_CLASSES;
  uint32_t more = device.request.argument & CLASSIFY_MORE;
  uint32_t status;
  if (device.request.argument > (DIRECTORY_WORD(WINDOW) > 1 ? CLASSIFY_LEARNED | CLASSIFY_MORE
                                                            : CLASSIFY_LEARNED)) {
    return STATUS_WRONG_ARGUMENT;
  }
  if (device.request.argument & CLASSIFY_LEARNED) {
    head = HEAD_LEARNED;
    classes = learned[SLOT_CLASSES];
    if (classes == 0) {
      return STATUS_NOTHING_LEARNED;
    }
    learned_fit();
  }
  status = frame(head, more);
  if (status == STATUS_OK) {
    put(device.decision | classes << 16);
    put(READ(CYCLES));
    for (uint32_t number = 0; number < classes; number++) {
      put(bus_read(DHAM_LOGITS_BASE + 4 * number));
    }
  }
  return status;
}

static uint32_t features(void) {
  if (!device.features) {
    return STATUS_NOT_READY;
  }
  uint32_t status = frame(HEAD_FEATURES, 0);
  if (status == STATUS_OK) {
    put(READ(CYCLES));
    for (uint32_t left = device.features; left; left--) {
      put(bus_read(DHAM_LOGITS_BASE - 4 + 4 * left));
    }
  }
  return status;
}

/* The loop is short: the processor's time between two frames counts, too. */
static uint32_t bench(void) {
  uint32_t frames = device.request.argument;
  uint32_t since;
  if (frames == 0) {
    return STATUS_WRONG_ARGUMENT;
  }
  network_select(HEAD_CLASSES);
  put(frames);
  since = READ(TIMER);
  for (uint32_t left = frames; left; left--) {
    WRITE(CONTROL, MASK(CONTROL, START));
    if (!(READ(STATUS) & MASK(STATUS, DONE))) {
      return STATUS_ENGINE_FAILED;
    }
  }
  put(READ(TIMER) - since);
  put(READ(CYCLES));
  device.counters[COUNTER_FRAMES] += frames;
  device.counters[COUNTER_CYCLES] += multiply(READ(CYCLES), frames);
  return STATUS_OK;
}

static uint32_t learn(void) {
  const uint32_t *label = device.request.data;
  uint32_t number = 0;
  uint32_t status;
  if (!device.features) {
    return STATUS_NOT_READY;
  }
  if (device.request.argument > 1 || !(label[0] & 0xFF) || label[LABEL_WORDS - 1] >> 24) {
    return STATUS_WRONG_ARGUMENT;
  }
  status = frame(HEAD_FEATURES, 0);
  if (status == STATUS_OK) {
    number = learned_find(label);
    status = learned_add(label, number);
  }
  if (status == STATUS_OK && device.request.argument) {
    status = learned_save();
  }
  if (status == STATUS_OK) {
    put(number);
    put(learned_class(number)[LABEL_WORDS]);
  }
  return status;
}

static uint32_t forget(uint32_t bytes) {
  uint32_t status;
  if (bytes) {
    uint32_t number = learned_find(device.request.data);
    if (number == learned[SLOT_CLASSES]) {
      return STATUS_UNKNOWN_LABEL;
    }
    learned_remove(number);
  } else {
    learned[SLOT_CLASSES] = 0;
    device.fitted = 0;
  }
  status = learned_save();
  put(learned[SLOT_CLASSES]);
  return status;
}

static uint32_t read_words(void) {
  uint32_t address = device.request.data[0];
  uint32_t words = device.request.argument;
  if (address % 4 || words - 1 >= MAX_READ_WORDS) {
    return STATUS_WRONG_ARGUMENT;
  }
  for (; words; words--, address += 4) {
    put(bus_read(address));
  }
  return STATUS_OK;
}

static uint32_t write_words(uint32_t bytes) {
  const uint32_t *word = device.request.data;
  uint32_t address = *word++;
  if (address % 4) {
    return STATUS_WRONG_ARGUMENT;
  }
  for (bytes -= 4; bytes; bytes -= 4, address += 4, word++) {
    if (address % BUS_BYTES == ADDRESS(CONTROL) && *word & MASK(CONTROL, REPEAT)) {
      return STATUS_WRONG_ARGUMENT; /* the processor would never get the bus again */
    }
    bus_write(address, *word);
    /* A write to the flash begins a sequential read; the DMA would take the frames to come. */
    WRITE(FLASH, MASK(FLASH, STOP));
    WRITE(DMA, MASK(DMA, STOP));
  }
  return STATUS_OK;
}

static uint32_t names(void) {
  uint32_t first = device.request.argument & ~NAMES_LEARNED;
  uint32_t labels = device.request.argument & NAMES_LEARNED;
  uint32_t count = labels ? learned[SLOT_CLASSES] : device.classes;
  uint32_t address = device.section[SECTION_NAMES];
  if (!labels && !address) {
    return STATUS_NOT_READY;
  }
  for (uint32_t number = 0; number < count; number++, address += LABEL_BYTES) {
    for (uint32_t word = 0; number - first < MOST_NAMES && word < LABEL_WORDS; word++) {
      put(labels ? learned_class(number)[word] : flash_word(address + 4 * word));
    }
  }
  return STATUS_OK;
}

/* Whether data has a length that the command takes. */
static int right_length(uint32_t bytes) {
  switch (device.request.command) {
    case COMMAND_CLASSIFY:
    case COMMAND_FEATURES:
      return bytes == IMAGE_PLACE;
    case COMMAND_LEARN:
      return bytes == LABEL_BYTES + IMAGE_PLACE;
    case COMMAND_FORGET:
      return bytes == 0 || bytes == LABEL_BYTES;
    case COMMAND_READ:
      return bytes == 4;
    case COMMAND_WRITE:
      return bytes >= 8 && bytes <= 4 + 4 * MAX_READ_WORDS && bytes % 4 == 0;
    default:
      return bytes == 0;
  }
}

static uint32_t execute(uint32_t bytes) {
  uint32_t command = device.request.command;
  if (!in(command, ALL_COMMANDS)) {
    return STATUS_UNKNOWN_COMMAND;
  }
  if (!ready() && in(command, NETWORK_COMMANDS)) {
    return STATUS_NOT_READY;
  }
  if (!right_length(bytes)) {
    return STATUS_WRONG_LENGTH;
  }
  switch (command) {
    case COMMAND_INFO:
      info();
      break;
    case COMMAND_SELF_TEST:
      return retest();
    case COMMAND_CLASSIFY:
      return classify();
    case COMMAND_FEATURES:
      return features();
    case COMMAND_BENCH:
      return bench();
    case COMMAND_COUNTERS:
      for (uint32_t number = 0; number < COUNTERS; number++) {
        put(device.counters[number]);
      }
      break;
    case COMMAND_LEARN:
      return learn();
    case COMMAND_FORGET:
      return forget(bytes);
    case COMMAND_READ:
      return read_words();
    case COMMAND_WRITE:
      return write_words(bytes);
    case COMMAND_NAMES:
      return names();
  }
  return STATUS_OK;
}

/* A frame, or the rest of the one that was begun: its bytes, with an image for IMAGE_PLACE of them,
 * or TOO_MANY; 0: none that is whole came. */
static uint32_t receive(uint32_t *crc) {
  uint32_t count = device.skip ? TOO_MANY : 0;
  uint32_t last = 0; /* the last four bytes: the frame's own CRC */
  uint32_t most; /* bytes of which the processor takes each; as long as the FIFO has room for */
  uint32_t token = 0;
  if (!device.skip) {
    token = device.ahead != NOTHING ? device.stopped : take_start();
    if (!token) {
      token = take_image(&count);
    }
    last = device.request.data[0];
  }
  most = device.request.command == COMMAND_WRITE ? TOO_MANY : count + LABEL_BYTES;
  while (!(token & LATE)) {
    if (count == TOO_MANY && token == 0) {
      token = move(DHAM_ACTIVATIONS_BASE, DMA_MOST_WORDS);
      continue;
    }
    token = take();
    if (token & (LATE | MASK(STREAM, END))) {
      break;
    }
    last = last >> 8 | token << 24;
    device.request.bytes[count++] = (uint8_t)token;
    if (count > most) {
      count = TOO_MANY;
    }
    token = 0;
  }
  *crc = last;
  if (token & LATE) {
    device.counters[COUNTER_CUT] += !device.skip;
    device.skip = 1;
    return 0;
  }
  if (device.skip) {
    device.skip = 0;
    return 0;
  }
  if (token & MASK(STREAM, CUT)) {
    device.counters[COUNTER_CUT]++;
    return 0;
  }
  if (READ(CRC) != CRC_RESIDUE || count < HEAD_BYTES + CRC_BYTES) {
    device.counters[COUNTER_DAMAGED]++;
    return 0;
  }
  device.counters[COUNTER_REQUESTS]++;
  return count;
}

/* Receive, execute, answer; where the start of the next request was taken meanwhile, that one too:
 * it is received to its end before the answer, for which the CRC is needed. */
void protocol_receive(void) {
  do {
    uint32_t crc;
    uint32_t count = receive(&crc);
    if (device.ahead != NOTHING) {
      device.ahead = NOTHING;
      answer();
    }
    if (!count) {
      return;
    }
    device.alone = 0;
    /* The last reply's head, too: of an image without its CRC, `crc` is something else. */
    if (count == device.last_bytes && crc == device.last_crc &&
        device.reply.command == (device.request.command | REPLY) &&
        device.reply.sequence == device.request.sequence) {
      device.counters[COUNTER_REPEATED]++;
    } else {
      /* Of one that was too long or too short, the CRC went by. */
      device.last_bytes = count < TOO_MANY ? count : 0;
      device.last_crc = crc;
      device.reply_words = 0;
      device.reply.command = device.request.command | REPLY;
      device.reply.sequence = device.request.sequence;
      device.reply.status = (uint8_t)execute(count - HEAD_BYTES - CRC_BYTES);
      device.reply.error = (uint8_t)boot_error();
      if (device.reply.status != STATUS_OK) {
        device.reply_words = 0;
      }
    }
  } while (device.ahead != NOTHING);
  answer();
  if (device.reply.command == (COMMAND_RESET | REPLY) && device.reply.status == STATUS_OK) {
    bus_restart();
  }
}
