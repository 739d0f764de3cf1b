/* The fuzzing target: an input says what comes over the line, and every rule of docs/protocol.md that
 * can be checked is checked. The hardware is tests/firmware/device_model.c.
 *
 * An input is a row of steps, as tests/system/corpus.py writes them. The lowest 3 bits of a step's
 * first byte tell its kind, the other 5 are its parameter:
 *   0 RAW       count u8, bytes: as they are
 *   1 FRAME     count u8, payload: with its CRC, encoded, between zero bytes
 *   2 IMAGE     head of 4 bytes, for LEARN a label of 16, seed u8, change i8: a frame with an image
 *               of the right size, or `change` bytes more
 *   3 REPEAT    the last frame's line once more
 *   4 DAMAGE    position u8, xor u8: the same with one byte changed; parameter bit 0: without that
 *               byte; bit 1: with that byte twice
 *   5 CUT       count u8: the first bytes of it
 *   6 SILENCE   parameter 0: of 10 ms; else of 150 ms
 *   7 RUN       value u8: (1 + parameter) times 64 such bytes
 *     EVENT     parameter 28: a frame of the engine fails; 29: the flash stays busy; 30: a byte of it
 *               is worn out; 31: the button is pressed. No byte follows.
 *
 * With no engine behind it (-DSTANDALONE) it runs a stream of inputs from standard input, each with
 * its length before it (u32).
 */
#include "../../firmware/device_model.c"

#include "flash_image.h" /* generated: IMAGE, CLASSES, FEATURES, VECTORS; flash_parts */

#define TENTH (CLOCK / 10)
#define FIRST_EVENT 28
#define MOST_LINE 0x10000u /* bytes of an input */
#define MOST_FRAMES 2048u
#define MOST_FRAME 1024u   /* bytes of one */
#define MOST_GAPS 4u

/* A frame as it stands on the line, decoded in another way than the device's. */
struct frame {
  const uint8_t *bytes; /* head, data, CRC */
  uint32_t count;
  int gap; /* a silence is within it: it may be dropped */
};

static struct {
  const uint8_t *at, *end;
} input;

/* What goes over the line. */
static struct {
  uint32_t frame_count, decoded_count, piece_count, bytes;
  uint32_t most; /* bytes: what comes behind is left out, but for INFO at the end */
  int gap;
  int saving;  /* a LEARN that saves, or a FORGET, was among them */
  int written; /* a WRITE to the engine's memories: what it computes means nothing */
  int failing; /* an event */
  int stuck;   /* the flash stays busy: when it is read then, nothing is promised any more */
  int lost;    /* it was */
  int closed;  /* a WRITE to where it can stop the device: that and all behind it is left out */
} wire;
static struct frame frames[MOST_FRAMES];
static uint8_t decoded[2 * MOST_LINE], piece[2 * MOST_LINE];

static uint8_t last[2 * MOST_FRAME]; /* the last frame's line */
static uint32_t last_count;

/* What the learned classes should be. */
static struct learned_model {
  uint32_t classes;
  uint8_t label[MAX_LEARNED][LABEL_BYTES];
  uint32_t images[MAX_LEARNED];
} now_learned, saved;
static int unsure; /* of them */

static char problem[200];

/* The firmware broke a rule: end this process. */
static void finding(const char *text) {
  fprintf(stderr, "FINDING: %s\n", text);
  abort();
}

#define PROBLEM(...) (snprintf(problem, sizeof problem, __VA_ARGS__), 0)

/* --- the line ---------------------------------------------------------------------------------- */

static uint32_t crc_of(const uint8_t *bytes, uint32_t count) {
  uint32_t crc = UINT32_MAX;
  while (count--) {
    crc = crc_step(crc, *bytes++);
  }
  return ~crc;
}

/* Bytes of COBS; -1: the last block is cut. */
static int decode_whole(const uint8_t *from, uint32_t count, uint8_t *to) {
  const uint8_t *start = to;
  for (uint32_t at = 0; at < count;) {
    uint32_t code = from[at++];
    if (at + code - 1 > count) {
      return -1;
    }
    memcpy(to, from + at, code - 1);
    to += code - 1;
    at += code - 1;
    if (code < 255 && at < count) {
      *to++ = 0;
    }
  }
  return (int)(to - start);
}

static uint32_t word_at(const uint8_t *bytes) {
  uint32_t word;
  memcpy(&word, bytes, 4);
  return word;
}

/* Whether a WRITE reaches what the firmware itself works with: with that it can be stopped. */
static int stops(const uint8_t *data, uint32_t bytes) {
  for (uint32_t at = 4; at < bytes; at += 4) {
    uint32_t address = word_at(data) + at - 4;
    if (address % BUS_BYTES < DHAM_WEIGHTS_BASE ||
        in(address % BUS_BYTES, MEMORY_START, MEMORY_SIZE)) {
      return 1;
    }
  }
  return 0;
}

/* The piece that a zero byte ends; 0 where it must not be sent. */
static int take_piece(void) {
  uint8_t *bytes = decoded + wire.decoded_count;
  int count = decode_whole(piece, wire.piece_count, bytes);
  if (count < 8 || crc_of(bytes, (uint32_t)count) != CRC_RESIDUE) {
    return 1;
  }
  if (wire.frame_count == MOST_FRAMES) {
    return 0;
  }
  if (bytes[0] == COMMAND_WRITE && count >= 16) {
    if (stops(bytes + 4, (uint32_t)count - 8)) {
      return 0;
    }
    wire.written = 1;
  }
  wire.saving |= bytes[0] == COMMAND_FORGET || (bytes[0] == COMMAND_LEARN && bytes[2]);
  frames[wire.frame_count++] = (struct frame){bytes, (uint32_t)count, wire.gap};
  wire.decoded_count += (uint32_t)count;
  return 1;
}

static void put(uint8_t byte) {
  model_feed(&byte, 1);
  wire.bytes++;
}

static void send(const uint8_t *bytes, uint32_t count) {
  for (; count && wire.bytes < wire.most && !wire.closed; bytes++, count--) {
    if (*bytes) {
      piece[wire.piece_count++] = *bytes;
    } else if (wire.piece_count && !take_piece()) {
      wire.closed = 1;
      piece[wire.piece_count++] = 0x55; /* a block that is cut: no frame any more */
      put(0x55);
      return;
    } else {
      wire.piece_count = 0;
      wire.gap = 0;
    }
    put(*bytes);
  }
}

static void silence(uint32_t count) {
  model_silence(count);
  wire.gap |= wire.piece_count && count > TENTH / 2;
}

/* Until all bytes are taken: where a frame has not ended, until the device gives it up. */
static void run_device(void) {
  if (wire.stuck) {
    wire.lost |= model_run(0) != 0;
  } else if (model_run(0)) {
    finding(model_fault);
  }
  wire.gap |= wire.piece_count != 0;
}

/* --- the steps --------------------------------------------------------------------------------- */

static uint8_t next(void) { return input.at < input.end ? *input.at++ : 0; }

static uint32_t take_bytes(uint8_t *to, uint32_t count) {
  uint32_t left = (uint32_t)(input.end - input.at);
  count = count < left ? count : left;
  memcpy(to, input.at, count);
  input.at += count;
  return count;
}

/* COBS with the CRC behind the payload, between zero bytes. */
static void send_frame(const uint8_t *payload, uint32_t count) {
  uint8_t whole[MOST_FRAME];
  uint32_t crc, place = 1;
  memcpy(whole, payload, count);
  if (count > 3 && whole[0] == COMMAND_BENCH) {
    whole[3] = 0; /* 65,535 frames would only take their time */
  }
  crc = crc_of(whole, count);
  memcpy(whole + count, &crc, 4);
  count += 4;
  last[0] = 0;
  last_count = 2;
  for (uint32_t at = 0; at < count; at++) {
    if (whole[at]) {
      last[last_count++] = whole[at];
    }
    if (!whole[at] || (last_count - place == 255 && at + 1 < count)) {
      last[place] = (uint8_t)(last_count - place);
      place = last_count++;
    }
  }
  last[place] = (uint8_t)(last_count - place);
  last[last_count++] = 0;
  send(last, last_count);
}

static void image_frame(void) {
  uint8_t payload[4 + LABEL_BYTES + IMAGE + 128];
  uint32_t random, count = take_bytes(payload, 4);
  int left;
  if (count && payload[0] == COMMAND_LEARN) {
    count += take_bytes(payload + count, LABEL_BYTES);
  }
  random = next();
  for (left = IMAGE + (int8_t)next(); left > 0; left--) {
    random = random * 1664525u + 1013904223u;
    payload[count++] = (uint8_t)(random >> 24);
  }
  send_frame(payload, count);
}

static void damaged_frame(uint32_t parameter) {
  uint8_t bytes[sizeof last + 1];
  uint32_t count = last_count, position = next(), other = next();
  if (!count) {
    return;
  }
  position %= count;
  memcpy(bytes, last, count);
  if (parameter & 1) {
    memmove(bytes + position, bytes + position + 1, count - position - 1);
    count--;
  } else if (parameter & 2) {
    memmove(bytes + position + 1, bytes + position, count - position);
    count++;
  } else {
    bytes[position] ^= (uint8_t)other;
  }
  send(bytes, count);
}

static void event(uint32_t number) {
  run_device();
  wire.failing = 1;
  switch (number) {
    case 0:
      model_failing(1);
      break;
    case 1:
      model_stuck(1);
      wire.stuck = 1;
      break;
    case 2:
      model_worn(LEARNED_SLOT_0 + 4 * SLOT_CLASSES);
      break;
    case 3:
      model_buttons(1);
      break;
  }
}

static void take_step(void) {
  uint8_t bytes[64 * FIRST_EVENT];
  uint32_t kind = next();
  uint32_t parameter = kind >> 3, count;
  switch (kind & 7) {
    case 0:
      count = next();
      send(bytes, take_bytes(bytes, count));
      break;
    case 1:
      count = next();
      send_frame(bytes, take_bytes(bytes, count));
      break;
    case 2:
      image_frame();
      break;
    case 3:
      send(last, last_count);
      break;
    case 4:
      damaged_frame(parameter);
      break;
    case 5:
      count = next();
      send(last, count < last_count ? count : last_count);
      break;
    case 6:
      silence(parameter ? TENTH + TENTH / 2 : TENTH / 10);
      break;
    case 7:
      if (parameter >= FIRST_EVENT) {
        event(parameter - FIRST_EVENT);
      } else {
        memset(bytes, next(), sizeof bytes);
        send(bytes, 64 * (1 + parameter));
      }
      break;
  }
}

/* --- what is right ----------------------------------------------------------------------------- */

static uint32_t find_label(const uint8_t *label) {
  uint32_t number = 0;
  while (number < now_learned.classes && memcmp(now_learned.label[number], label, LABEL_BYTES)) {
    number++;
  }
  return number;
}

static int right_length(const uint8_t *payload, uint32_t bytes) {
  switch (payload[0]) {
    case COMMAND_CLASSIFY:
    case COMMAND_FEATURES:
      return bytes == IMAGE;
    case COMMAND_LEARN:
      return bytes == LABEL_BYTES + IMAGE;
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

/* The status that the request must get where nothing fails; -1: it depends. */
static int right_status(const uint8_t *payload, uint32_t bytes) {
  uint32_t argument = payload[2] | payload[3] << 8;
  const uint8_t *data = payload + 4;
  uint32_t number = 0;
  if (payload[0] < COMMAND_INFO || payload[0] > COMMAND_NAMES) {
    return STATUS_UNKNOWN_COMMAND;
  }
  if (!right_length(payload, bytes)) {
    return STATUS_WRONG_LENGTH;
  }
  switch (payload[0]) {
    case COMMAND_CLASSIFY:
      if (argument > (CLASSIFY_LEARNED | CLASSIFY_MORE)) {
        return STATUS_WRONG_ARGUMENT;
      }
      if (argument & CLASSIFY_LEARNED && unsure) {
        return -1;
      }
      return argument & CLASSIFY_LEARNED && !now_learned.classes ? (int)STATUS_NOTHING_LEARNED : (int)STATUS_OK;
    case COMMAND_BENCH:
      return argument ? (int)STATUS_OK : (int)STATUS_WRONG_ARGUMENT;
    case COMMAND_LEARN:
      if (argument > 1 || !data[0] || data[LABEL_BYTES - 1]) {
        return STATUS_WRONG_ARGUMENT;
      }
      if (unsure) {
        return -1;
      }
      number = find_label(data);
      return number == MAX_LEARNED ? (int)STATUS_FULL : (int)STATUS_OK;
    case COMMAND_FORGET:
      if (unsure) {
        return -1;
      }
      number = bytes ? find_label(data) : 0;
      return bytes && number == now_learned.classes ? (int)STATUS_UNKNOWN_LABEL : (int)STATUS_OK;
    case COMMAND_READ:
      if (word_at(data) % 4 || argument - 1 >= MAX_READ_WORDS) {
        return STATUS_WRONG_ARGUMENT;
      }
      return word_at(data) < BUS_BYTES - 4 * MAX_READ_WORDS ? (int)STATUS_OK : -1;
    case COMMAND_WRITE:
      if (word_at(data) % 4) {
        return STATUS_WRONG_ARGUMENT;
      }
      if (word_at(data) < DHAM_WEIGHTS_BASE || word_at(data) >= BUS_BYTES - 4 * MAX_READ_WORDS) {
        return -1;
      }
      return STATUS_OK;
    default:
      return STATUS_OK;
  }
}

/* The data of a reply where all of it is known: 1; or its length alone: 0; or nothing: -1. */
static int right_data(const uint8_t *payload, uint8_t *data, uint32_t *count) {
  uint32_t argument = payload[2] | payload[3] << 8, number, first, all;
  const uint8_t *pixels = payload + 4;
  uint32_t words[REPLY_WORDS] = {0};
  int known = 0;
  switch (payload[0]) {
    case COMMAND_INFO:
      *count = 4 * INFO_WORDS + INFO_NAME_BYTES;
      break;
    case COMMAND_SELF_TEST:
      words[0] = words[1] = VECTORS;
      words[2] = 1000;
      *count = 12;
      known = !wire.failing;
      break;
    case COMMAND_CLASSIFY:
      if (argument & CLASSIFY_LEARNED) {
        *count = 8 + 4 * now_learned.classes;
        return unsure ? -1 : 0;
      }
      words[1] = 1000;
      for (uint32_t o = 0; o < CLASSES; o++) {
        for (uint32_t i = 0; i < 16; i++) {
          words[2 + o] += pixels[i] * ((o * 7 + i) % 5) - weights[i];
        }
        if ((int32_t)words[2 + o] > (int32_t)words[2 + words[0]]) {
          words[0] = o;
        }
      }
      words[0] |= CLASSES << 16;
      *count = 8 + 4 * CLASSES;
      known = !wire.written;
      break;
    case COMMAND_FEATURES:
      words[0] = 1001;
      for (uint32_t i = 0; i < FEATURES; i++) {
        words[1 + i] = pixels[i];
      }
      *count = 4 + 4 * FEATURES;
      known = !wire.written;
      break;
    case COMMAND_BENCH:
      *count = 12;
      break;
    case COMMAND_COUNTERS:
      *count = 4 * COUNTERS;
      break;
    case COMMAND_LEARN:
      words[0] = find_label(payload + 4);
      words[1] = unsure ? 0 : now_learned.images[words[0]];
      *count = 8;
      known = !unsure;
      break;
    case COMMAND_FORGET:
      words[0] = now_learned.classes;
      *count = 4;
      known = !unsure;
      break;
    case COMMAND_READ:
      *count = 4 * argument;
      break;
    case COMMAND_NAMES:
      first = argument & 0x7FFF;
      all = argument & 0x8000 ? now_learned.classes : CLASSES;
      number = first >= all ? 0 : all - first < 12 ? all - first : 12;
      *count = LABEL_BYTES * number;
      if (argument & 0x8000) {
        if (unsure) {
          return -1;
        }
        memcpy(words, number ? now_learned.label[first] : (const uint8_t *)"", *count);
      } else {
        memcpy(words, number ? names[first] : (const uint8_t *)"", *count);
      }
      known = 1;
      break;
    default:
      *count = 0;
      known = 1;
  }
  memcpy(data, words, *count);
  return known;
}

/* What a request does to the learned classes. */
static void follow(const uint8_t *payload, uint32_t bytes, uint32_t status) {
  uint32_t argument = payload[2] | payload[3] << 8, number;
  if (status == STATUS_FLASH_FAILED) {
    unsure = 1; /* in memory yes, in flash perhaps */
  }
  if (unsure || status != STATUS_OK) {
    return;
  }
  switch (payload[0]) {
    case COMMAND_RESET:
      now_learned = saved;
      break;
    case COMMAND_LEARN:
      number = find_label(payload + 4);
      if (number == now_learned.classes) {
        memcpy(now_learned.label[now_learned.classes++], payload + 4, LABEL_BYTES);
        now_learned.images[number] = 0;
      }
      now_learned.images[number]++;
      if (argument) {
        saved = now_learned;
      }
      break;
    case COMMAND_FORGET:
      number = bytes ? find_label(payload + 4) : now_learned.classes;
      now_learned.classes = bytes ? now_learned.classes - 1 : 0;
      for (; number < now_learned.classes; number++) {
        memcpy(now_learned.label[number], now_learned.label[number + 1], LABEL_BYTES);
        now_learned.images[number] = now_learned.images[number + 1];
      }
      saved = now_learned;
      break;
  }
}

/* 0, and `problem`, where the reply to a request is not right. */
static int check_reply(const struct frame *frame, const uint8_t *reply, uint32_t count) {
  const uint8_t *payload = frame->bytes;
  uint32_t bytes = frame->count - 8, status = reply[2], expected_count = 0;
  uint8_t expected[4 * REPLY_WORDS];
  int right = right_status(payload, bytes), known;
  if (right >= 0 && status != (uint32_t)right &&
      !(wire.failing && (status == STATUS_ENGINE_FAILED || status == STATUS_FLASH_FAILED ||
                         status == STATUS_NOT_READY))) {
    return PROBLEM("command %u of %u bytes with argument %u got status %u instead of %d",
                   payload[0], bytes, payload[2] | payload[3] << 8, status, right);
  }
  follow(payload, bytes, status);
  if (status != STATUS_OK) {
    return count == 4 || PROBLEM("a refusal has %u bytes of data", count - 4);
  }
  known = right_data(payload, expected, &expected_count);
  if (known >= 0 && count - 4 != expected_count) {
    return PROBLEM("the reply to command %u has %u bytes instead of %u", payload[0], count - 4,
                   expected_count);
  }
  return known != 1 || !memcmp(expected, reply + 4, expected_count) ||
         PROBLEM("the data of the reply to command %u is wrong", payload[0]);
}

static int is_text(const uint8_t *bytes, uint32_t count) {
  for (uint32_t at = 0; at < count; at++) {
    if ((bytes[at] < 0x20 || bytes[at] > 0x7E) && bytes[at] != '\r' && bytes[at] != '\n') {
      return 0;
    }
  }
  return count >= 2 && bytes[count - 1] == '\n';
}

/* What the device sent, as replies. Anything else but text is a finding. */
static struct reply {
  const uint8_t *bytes;
  uint32_t count;
} replies[LINE / 8];
static uint32_t reply_count;

static void take_replies(void) {
  static uint8_t payloads[LINE];
  uint8_t *to = payloads;
  uint32_t start = 0;
  reply_count = 0;
  for (uint32_t at = 0; at < sent_count; at++) {
    if (sent[at]) {
      continue;
    }
    uint32_t length = at - start;
    const uint8_t *from = sent + start;
    start = at + 1;
    if (length == 0 || is_text(from, length)) {
      continue;
    }
    int count = decode_whole(from, length, to);
    if (count < 8 || crc_of(to, (uint32_t)count) != CRC_RESIDUE || !(to[0] & REPLY)) {
      finding("the device sent what is neither frame nor text");
    }
    replies[reply_count++] = (struct reply){to, (uint32_t)count - 4};
    to += count;
  }
  if (start != sent_count) {
    finding("the device stopped in the middle of a frame");
  }
}

static int same(const uint8_t *one, uint32_t count, const uint8_t *other, uint32_t others) {
  return count == others && !memcmp(one, other, count);
}

/* Each frame has its reply, in order; of those with a silence in them, `answered` tells which. */
static int check_replies(uint32_t answered) {
  const struct frame *before = 0;
  uint32_t at_reply = 0;
  memset(&now_learned, 0, sizeof now_learned);
  memset(&saved, 0, sizeof saved);
  unsure = 0;
  for (uint32_t at = 0; at < wire.frame_count; at++) {
    const struct frame *frame = &frames[at];
    const struct reply *reply = &replies[at_reply];
    if (frame->gap) {
      int dropped = !(answered & 1);
      answered >>= 1;
      if (dropped) {
        continue;
      }
    }
    if (at_reply == reply_count) {
      return PROBLEM("no reply to command %u, sequence number %u", frame->bytes[0],
                     frame->bytes[1]);
    }
    if ((frame->bytes[0] | REPLY) != reply->bytes[0] || frame->bytes[1] != reply->bytes[1]) {
      return PROBLEM("the reply is to command %u, %u; the request was %u, %u",
                     reply->bytes[0] & ~REPLY, reply->bytes[1], frame->bytes[0], frame->bytes[1]);
    }
    if (before && same(frame->bytes, frame->count, before->bytes, before->count) &&
        frame->bytes[0] != COMMAND_RESET) {
      if (!same(reply->bytes, reply->count, reply[-1].bytes, reply[-1].count)) {
        return PROBLEM("a repeated request to command %u got another reply", frame->bytes[0]);
      }
    } else if (!check_reply(frame, reply->bytes, reply->count)) {
      return 0;
    }
    before = frame;
    at_reply++;
  }
  return at_reply == reply_count || PROBLEM("%u replies too many", reply_count - at_reply);
}

static void check_output(void) {
  uint32_t gaps = 0;
  take_replies();
  if (fifo_last != wire.bytes) {
    return; /* the FIFO ran over: which frames came is not known here */
  }
  for (uint32_t at = 0; at < wire.frame_count; at++) {
    gaps += frames[at].gap != 0;
  }
  if (gaps > MOST_GAPS) {
    return;
  }
  for (uint32_t answered = 0; answered < 1u << gaps; answered++) {
    if (check_replies(answered)) {
      return;
    }
  }
  finding(problem);
}

/* Whatever came, the next INFO is answered, at once. */
static void probe(uint8_t sequence) {
  uint8_t payload[4] = {COMMAND_INFO, sequence, 0, 0};
  uint32_t before = sent_count;
  uint64_t since;
  int count;
  send_frame(payload, sizeof payload);
  since = line_at;
  run_device();
  if (wire.lost) {
    return;
  }
  if (now - since > CLOCK) {
    finding("INFO took more than 1 s");
  }
  if (sent_count - before < 2 || sent[sent_count - 1]) {
    finding("INFO is not answered");
  }
  for (before = sent_count - 1; before && sent[before - 1]; before--) {
  }
  count = decode_whole(sent + before, sent_count - 1 - before, piece);
  if (count != 4 + 4 * INFO_WORDS + INFO_NAME_BYTES + 4 || piece[0] != (COMMAND_INFO | REPLY) ||
      piece[1] != sequence || piece[2] != STATUS_OK) {
    finding("the answer to INFO is another one");
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static uint8_t slots[2 * LEARNED_BYTES];
  uint32_t words[CAPABILITY_WORDS] = {CAPABILITY};
  model_build(words, FEATURES, CLASSES, LEARNED_WEIGHTS, LEARNED_PARAMETERS);
  model_buttons(0);
  if (!flash[DIRECTORY]) {
    memset(flash, 0xFF, sizeof flash);
    for (uint32_t part = 0; part < sizeof flash_parts / sizeof *flash_parts; part++) {
      memcpy(flash + flash_parts[part].address, flash_parts[part].bytes, flash_parts[part].count);
    }
    memset(slots, 0xFF, sizeof slots);
  }
  memcpy(flash + LEARNED_SLOT_0, slots, sizeof slots);
  memset(&wire, 0, sizeof wire);
  wire.most = MOST_LINE;
  if (model_on() || device.error || device.warning || device.equal != VECTORS) {
    finding("the device does not start");
  }
  sent_count = last_count = 0;
  input.at = data;
  input.end = data + size;
  while (input.at < input.end && !wire.closed && !wire.lost) {
    take_step();
  }
  run_device();
  if (wire.lost) {
    return 0;
  }
  wire.closed = 0;
  wire.most = 2 * MOST_LINE;
  probe((uint8_t)size);
  probe((uint8_t)(size + 1));
  if (wire.lost) {
    return 0;
  }
  check_output();
  if (!wire.saving && memcmp(flash + LEARNED_SLOT_0, slots, sizeof slots)) {
    finding("the flash changed, but nothing asked for it");
  }
  return 0;
}

#ifdef STANDALONE

int main(void) {
  uint32_t length, inputs = 0;
  for (; fread(&length, sizeof length, 1, stdin) == 1; inputs++) {
    uint8_t *bytes = malloc(length ? length : 1); /* of its own, so that an over-read is seen */
    if (!bytes || fread(bytes, 1, length, stdin) != length) {
      fputs("the stream of inputs is cut\n", stderr);
      return 2;
    }
    printf("%u\n", inputs); /* the last one is that of a finding */
    fflush(stdout);
    LLVMFuzzerTestOneInput(bytes, length);
    free(bytes);
  }
  return 0;
}

#else

int LLVMFuzzerRunDriver(int *count, char ***words, int (*target)(const uint8_t *, size_t));

int main(int count, char **words) {
  return LLVMFuzzerRunDriver(&count, &words, LLVMFuzzerTestOneInput);
}

#endif
