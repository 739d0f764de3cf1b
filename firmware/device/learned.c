/* Learned classes: in memory as a slot in flash holds them, in flash, and as weights of the engine. */
#include "arithmetic.h"
#include "device.h"
#include "fewshot.h"

/* The largest sum that an accumulator holds. */
#define MOST_SUM ((1u << (ACCUMULATOR_BITS - 1)) - 1)

/* Sums below 2 ** 27, so that sixteen times a sum and half the images fit 32 bits. */
#define MOST_FEATURE_SUM (1u << 27)

/* Words of a slot's head that tell whether the slot is this network's. */
#define SLOT_IDENTITY (1u << SLOT_MAGIC | 1u << SLOT_HASH0 | 1u << SLOT_HASH1 | 1u << SLOT_FEATURES)

_Static_assert(LANES == 16, "a weight word has 8 weights of 8 bits");

#ifdef HOST_TEST
uint32_t learned[LEARNED_BYTES / 4];
#define ROOM (sizeof learned)
#else
/* The linker gives all memory that is left, but for the stack. */
extern uint32_t learned_end[];
#define ROOM ((uint32_t)((char *)learned_end - (char *)learned))
#endif

uint32_t *learned_class(uint32_t number) {
  return (uint32_t *)((char *)(learned + SLOT_HEAD) + multiply(device.class_bytes, number));
}

/* Words of a slot without its CRC. */
static uint32_t slot_words(uint32_t classes) { return (uint32_t)(learned_class(classes) - learned); }

/* Words of the slot at a flash address without its CRC; 0 if it is damaged or another network's. */
static uint32_t whole(uint32_t address) {
  uint32_t classes = flash_word(address + 4 * SLOT_CLASSES);
  uint32_t words;
  for (uint32_t word = 0; word < SLOT_HEAD; word++) {
    if (SLOT_IDENTITY >> word & 1 && flash_word(address + 4 * word) != learned[word]) {
      return 0;
    }
  }
  if (classes > device.max_learned) {
    return 0;
  }
  words = slot_words(classes);
  return flash_crc(address, words + 1) == CRC_RESIDUE ? words : 0;
}

/* Take the newest slot that is whole; none leaves no classes. */
void learned_load(void) {
  uint32_t room = ROOM < LEARNED_BYTES ? ROOM : LEARNED_BYTES;
  device.class_bytes = LABEL_BYTES + 4 + 4 * device.features;
  device.max_learned = divide(room - 4 * (SLOT_HEAD + 1), device.class_bytes);
  if (device.max_learned > MAX_LEARNED) {
    device.max_learned = MAX_LEARNED;
  }
  device.fitted = 0;
  device.slot = LEARNED_SLOT_1;
  for (uint32_t word = 0; word < SLOT_HEAD; word++) {
    learned[word] = 0;
  }
  if (!device.features) {
    return;
  }
  learned[SLOT_MAGIC] = LEARNED_MAGIC;
  learned[SLOT_HASH0] = DIRECTORY_WORD(NETWORK_HASH0);
  learned[SLOT_HASH1] = DIRECTORY_WORD(NETWORK_HASH1);
  learned[SLOT_FEATURES] = device.features;
  uint32_t first = whole(LEARNED_SLOT_0);
  uint32_t words = whole(LEARNED_SLOT_1);
  if (first &&
      (!words || (int32_t)(flash_word(LEARNED_SLOT_0 + 4 * SLOT_SEQUENCE) -
                           flash_word(LEARNED_SLOT_1 + 4 * SLOT_SEQUENCE)) > 0)) {
    device.slot = LEARNED_SLOT_0;
    words = first;
  }
  flash_copy(device.slot, words, bus_address(learned));
}

/* Write all to the slot that does not hold what is newest there, so that this is never lost. */
uint32_t learned_save(void) {
  uint32_t slot = device.slot ^ LEARNED_SLOT_0 ^ LEARNED_SLOT_1;
  uint32_t words = slot_words(learned[SLOT_CLASSES]);
  uint32_t crc;
  learned[SLOT_SEQUENCE]++;
  crc = crc_feed((uint8_t *)learned, 4 * words);
  learned[words] = crc;
  if (!flash_write(slot, learned, words + 1) || flash_crc(slot, words) != crc ||
      flash_word(slot + 4 * words) != crc) {
    return STATUS_FLASH_FAILED;
  }
  device.slot = slot;
  device.counters[COUNTER_SAVES]++;
  return STATUS_OK;
}

/* The number of a label's class; that of the classes if there is none. */
uint32_t learned_find(const uint32_t *label) {
  uint32_t number = 0;
  for (; number < learned[SLOT_CLASSES]; number++) {
    const uint32_t *other = learned_class(number);
    uint32_t word = 0;
    while (word < LABEL_WORDS && other[word] == label[word]) {
      word++;
    }
    if (word == LABEL_WORDS) {
      break;
    }
  }
  return number;
}

/* Add the features in LOGITS, which stand there last one first, to a label's class. */
uint32_t learned_add(const uint32_t *label, uint32_t number) {
  uint32_t *word = learned_class(number);
  if (number == learned[SLOT_CLASSES]) {
    if (number == device.max_learned) {
      return STATUS_FULL;
    }
    learned[SLOT_CLASSES]++;
    for (uint32_t at = 0; 4 * at < device.class_bytes; at++) {
      word[at] = at < LABEL_WORDS ? label[at] : 0;
    }
  }
  word += LABEL_WORDS;
  if (*word >= divide(MOST_FEATURE_SUM, device.reach)) {
    return STATUS_FULL;
  }
  ++*word++;
  for (uint32_t left = device.features; left; left--) {
    *word++ += bus_read(DHAM_LOGITS_BASE - 4 + 4 * left);
  }
  device.fitted = 0;
  return STATUS_OK;
}

void learned_remove(uint32_t number) {
  uint32_t *to = learned_class(number);
  const uint32_t *from = learned_class(number + 1);
  const uint32_t *end = learned_class(learned[SLOT_CLASSES]--);
  while (from != end) {
    *to++ = *from++;
  }
  device.fitted = 0;
}

/* Write the weights of a class at a shift, from its means; zeros without means. */
static void write_weights(uint32_t number, const uint32_t *means, uint32_t shift) {
  uint32_t address = DIRECTORY_WORD(LEARNED_WEIGHTS) + number % (LANES / 2);
  /* Byte c % 8 of word c / 8 * features + i is the weight of class c and feature i. */
  if (number >= LANES / 2) {
    address += 8 * device.features;
  }
  for (uint32_t left = device.features; left; left--) {
    bus_write_byte(address, means ? fewshot_weight(*means++, shift) : 0);
    address += 8;
  }
}

/* Means are below 2 ** 28, so at this shift all weights are 0; nothing can make the search longer. */
#define MOST_SHIFT 27

/* Make weights and biases of the sums. */
void learned_fit(void) {
  uint32_t *means = device.reply.data; /* the reply to come needs its place only later */
  uint32_t classes = learned[SLOT_CLASSES];
  uint32_t most = divide(MOST_SUM, device.reach);
  uint32_t shift = 0;
  uint32_t number = 0;
  if (device.fitted) {
    return;
  }
  /* One class after the other, in turn, until as many in a row as there are fit at one shift. */
  for (uint32_t fit = 0; fit < classes; fit++) {
    const uint32_t *images = learned_class(number) + LABEL_WORDS;
    alive();
    fewshot_means(means, images + 1, *images, device.features);
    while (shift < MOST_SHIFT && !fewshot_fits(means, device.features, device.group, most, shift,
                                               &device.bias[number])) {
      alive();
      shift++;
      fit = 0;
    }
    write_weights(number, means, shift);
    if (++number == classes) {
      number = 0;
    }
  }
  for (number = classes; number < MAX_LEARNED; number++) {
    write_weights(number, 0, 0);
    device.bias[number] = 1u << (BIAS_BITS - 1);
  }
  device.fitted = 1;
  device.head = NO_HEAD;
}
