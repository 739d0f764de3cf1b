/* The network: what the flash holds of it is checked, loaded and tested; frames are run. */
#include "arithmetic.h"
#include "device.h"

/* Largest `reach` at which few-shot sums and means keep to 32 bits (fewshot.h). */
#define MOST_REACH (1u << 24)

/* What is wrong where a section is damaged or missing, by its kind. */
static const uint8_t section_errors[SECTION_KINDS] = {
    [SECTION_WEIGHTS] = ERROR_WEIGHTS,
    [SECTION_PARAMETERS] = ERROR_PARAMETERS,
    [SECTION_LAYERS] = ERROR_LAYERS,
    [SECTION_HEADS] = ERROR_LAYERS,
    [SECTION_GOLDEN_IMAGES] = ERROR_GOLDEN,
    [SECTION_GOLDEN_LOGITS] = ERROR_GOLDEN,
    [SECTION_DEMO_IMAGES] = ERROR_DEMO,
    [SECTION_NAMES] = ERROR_DEMO,
};

static void wrong(uint32_t error) {
  uint32_t *first = error == ERROR_DEMO ? &device.warning : &device.error;
  if (*first == ERROR_NONE) {
    *first = error;
  }
}

/* The first thing that is wrong with the directory, before anything of it is believed. */
static uint32_t directory_error(void) {
  uint32_t bytes = DIRECTORY_WORD(BYTES);
  if (DIRECTORY_WORD(MAGIC) != MAGIC || bytes % 4 || bytes > DIRECTORY_BYTES ||
      bytes < 4 * (WORD_BYTES + 2) || flash_crc(DIRECTORY, bytes / 4) != CRC_RESIDUE) {
    return ERROR_DIRECTORY;
  }
  if (DIRECTORY_WORD(FORMAT_VERSION) != FORMAT_VERSION) {
    return ERROR_FORMAT;
  }
  uint32_t capability[CAPABILITY_WORDS];
  for (uint32_t word = 0; word < CAPABILITY_WORDS; word++) {
    capability[word] = bus_read(ADDRESS(ARRAY) + 4 * word);
  }
  if (DIRECTORY_WORD(MAP_VERSION) != READ(VERSION) ||
      DIRECTORY_WORD(CAPABILITY_CRC) != crc_feed((uint8_t *)capability, sizeof capability)) {
    return ERROR_HARDWARE;
  }
  /* Numbers that this firmware counts on, whoever wrote them. */
  uint32_t image = DIRECTORY_WORD(IMAGE_BYTES);
  uint32_t features = DIRECTORY_WORD(FEATURES);
  if (bytes != 4 * (DIRECTORY_WORDS + multiply(ENTRY_WORDS, DIRECTORY_WORD(SECTIONS)) + 1) ||
      image % 4 || image - 8 > IMAGE_BYTES - 8 || DIRECTORY_WORD(CLASSES) - 1 >= LOGIT_WORDS ||
      DIRECTORY_WORD(CLASSIFIER_LAYER) >= LAYER_ENTRIES || features > MAX_FEATURES ||
      features > LOGIT_WORDS ||
      (features &&
       (DIRECTORY_WORD(GROUP_SIZE) == 0 || DIRECTORY_WORD(REACH) - 1 >= MOST_REACH))) {
    return ERROR_DIRECTORY;
  }
  return ERROR_NONE;
}

static void load_sections(void) {
  uint32_t entry = DIRECTORY + 4 * DIRECTORY_WORDS;
  for (uint32_t left = DIRECTORY_WORD(SECTIONS); left; left--, entry += 4 * ENTRY_WORDS) {
    uint32_t kind = flash_word(entry + 4 * ENTRY_KIND);
    uint32_t address = flash_word(entry + 4 * ENTRY_OFFSET);
    uint32_t words = flash_word(entry + 4 * ENTRY_BYTES) / 4;
    uint32_t target = flash_word(entry + 4 * ENTRY_TARGET);
    uint32_t crc = target ? flash_copy(address, words, target) : flash_crc(address, words);
    if (kind < SECTION_KINDS && crc == flash_word(entry + 4 * ENTRY_CRC)) {
      device.section[kind] = address;
    }
  }
  for (uint32_t kind = SECTION_WEIGHTS; kind < SECTION_KINDS; kind++) {
    uint32_t needed = kind == SECTION_HEADS         ? device.features
                      : kind == SECTION_DEMO_IMAGES ? DIRECTORY_WORD(DEMO)
                                                    : 1;
    if (needed && !device.section[kind]) {
      wrong(section_errors[kind]);
    }
  }
}

/* Heads share the parameters, of which only the bias counts: one of a class, 0 for a feature. */
void network_select(uint32_t head) {
  if (device.head == head) {
    return;
  }
  flash_copy(device.section[SECTION_HEADS] + 4 * LAYER_WORDS * head, LAYER_WORDS, device.layer);
  if (head != HEAD_CLASSES) {
    uint32_t address = DIRECTORY_WORD(LEARNED_PARAMETERS);
    for (uint32_t number = 0; number < MAX_LEARNED; number++, address += 8) {
      uint32_t field = 0;
      if (head == HEAD_LEARNED) {
        field = -device.bias[number] << (32 - BIAS_BITS) >> (32 - BIAS_BITS);
      }
      bus_write(address, field << MULTIPLIER_BITS);
      bus_write(address + 4, field >> (32 - MULTIPLIER_BITS));
    }
  }
  device.head = head;
}

int network_run(void) {
  WRITE(CONTROL, MASK(CONTROL, START));
  while (READ(STATUS) & MASK(STATUS, BUSY)) {
  }
  if (!(READ(STATUS) & MASK(STATUS, DONE))) {
    return 0;
  }
  device.decision = READ(CLASS);
  device.counters[COUNTER_FRAMES]++;
  device.counters[COUNTER_CYCLES] += READ(CYCLES);
  return 1;
}

static void self_test(void) {
  uint32_t image = device.section[SECTION_GOLDEN_IMAGES];
  uint32_t logit = device.section[SECTION_GOLDEN_LOGITS];
  device.vectors = DIRECTORY_WORD(GOLDEN);
  for (uint32_t vector = 0; vector < device.vectors; vector++) {
    uint32_t differ = 0;
    flash_copy(image, device.image_words, DHAM_IMAGE_BASE);
    image += 4 * device.image_words;
    if (!network_run()) {
      differ = 1;
    }
    if (READ(CYCLES) > device.cycles) {
      device.cycles = READ(CYCLES);
    }
    for (uint32_t number = 0; number < device.classes; number++, logit += 4) {
      differ |= flash_word(logit) ^ bus_read(DHAM_LOGITS_BASE + 4 * number);
    }
    if (!differ) {
      device.equal++;
    }
  }
  if (device.vectors == 0) {
    wrong(ERROR_GOLDEN);
  }
  if (device.equal != device.vectors) {
    wrong(ERROR_SELF_TEST);
  }
}

void network_load(void) {
  device.warning = READ(BOOT) & MASK(BOOT, COPY) ? ERROR_FIRMWARE_COPY : ERROR_NONE;
  device.error = directory_error();
  for (uint32_t kind = 0; kind < SECTION_KINDS; kind++) {
    device.section[kind] = 0;
  }
  device.classes = device.features = device.image_words = 0;
  device.equal = device.vectors = device.cycles = 0;
  device.head = HEAD_CLASSES;
  device.fitted = 0;
  if (!ready()) {
    return;
  }
  device.image_words = DIRECTORY_WORD(IMAGE_BYTES) / 4;
  device.classes = DIRECTORY_WORD(CLASSES);
  device.features = DIRECTORY_WORD(FEATURES);
  device.group = DIRECTORY_WORD(GROUP_SIZE);
  device.reach = DIRECTORY_WORD(REACH);
  device.layer = DHAM_LAYERS_BASE + 4 * LAYER_WORDS * DIRECTORY_WORD(CLASSIFIER_LAYER);
  WRITE(STOP_AFTER, DHAM_STOP_NEVER);
  load_sections();
  if (ready()) {
    self_test();
  }
}
