/* What the parts of the firmware know of each other. */
#ifndef DEVICE_H
#define DEVICE_H

#include "hal.h"

#define REQUEST_WORDS (2 + 1 + MAX_READ_WORDS + 1) /* head, CRC, data of WRITE; one is too many */
#define CLASSIFY_WORDS (2 + LOGIT_WORDS)
#define REPLY_WORDS (2 + CLASSIFY_WORDS) /* head, CRC, and the longest data */

/* The learned classes as a slot in flash holds them (firmware/layout.py, LEARNED_MAGIC): a head;
 * for each class its label, its number of images, its sums; a CRC. */
enum { SLOT_MAGIC, SLOT_SEQUENCE, SLOT_HASH0, SLOT_HASH1, SLOT_CLASSES, SLOT_FEATURES, SLOT_HEAD };
#define LABEL_WORDS (LABEL_BYTES / 4)

#define SECTION_KINDS (SECTION_NAMES + 1)
#define NO_HEAD 0xFF

enum { NOTHING, STARTED, COMING }; /* its start was taken; and its image comes by DMA */

struct device {
  /* Of the system */
  uint32_t tenth; /* clock cycles of 0.1 s */
  uint32_t flash_id;
  uint32_t counters[COUNTERS];

  /* Of the network; 0 where the directory is damaged */
  uint32_t error;                    /* what forbids to classify: the first that was found */
  uint32_t warning;                  /* what does not */
  uint32_t section[SECTION_KINDS];   /* flash addresses; 0: none, or damaged */
  uint32_t image_words;
  uint32_t classes, features, group, reach;
  uint32_t layer;                    /* bus address of the classifier's layer table entry */
  uint32_t equal, vectors, cycles;   /* of the self-test; cycles: of its slowest frame */
  uint32_t head;                     /* what the classifier's entry is, or NO_HEAD */

  /* Of the protocol */
  uint32_t skip;                     /* the rest of a frame is to be dropped */
  uint32_t last_bytes, last_crc;     /* of the last request; 0 bytes: none, or not to be repeated */
  uint32_t reply_words;              /* data of the reply to it */
  uint32_t ahead;                    /* of the next request, before that reply: one of these */
  uint32_t stopped;                  /* what stopped its start */

  /* Of the stand-alone mode and the lights */
  uint32_t alone, image, decision;
  uint32_t tick, tick_at, blink;

  /* Of what was learned */
  uint32_t slot;                     /* flash address of the slot that is not to be written next */
  uint32_t class_bytes;              /* bytes of a class */
  uint32_t max_learned;              /* classes that memory and slot have room for */
  uint32_t fitted;                   /* weights and biases are those of the sums */
  uint32_t bias[MAX_LEARNED];        /* negated */

  union {
    struct {
      uint8_t command, sequence;
      uint16_t argument;
      uint32_t data[REQUEST_WORDS - 1];
    };
    uint8_t bytes[4 * REQUEST_WORDS];
  } request;
  union {
    struct {
      uint8_t command, sequence, status, error;
      uint32_t data[REPLY_WORDS - 1];
    };
    uint8_t bytes[4 * REPLY_WORDS];
  } reply;
};

extern struct device device;
extern uint32_t learned[];

/* main.c */
void device_boot(void);
void device_poll(void);

ALWAYS static inline int ready(void) { return device.error == ERROR_NONE; }

/* The boot error as every reply and the red light tell it. */
uint32_t boot_error(void);

/* flash.c: addresses are the flash's, words are 32 bits */
void flash_identify(void);
uint32_t flash_crc(uint32_t address, uint32_t words);
uint32_t flash_copy(uint32_t address, uint32_t words, uint32_t target); /* gives the CRC */
int flash_write(uint32_t address, const uint32_t *words, uint32_t count); /* erases before */
uint32_t crc_feed(const uint8_t *bytes, uint32_t count);

/* network.c */
void network_load(void);
void network_select(uint32_t head);
int network_run(void);

/* learned.c */
void learned_load(void);
uint32_t *learned_class(uint32_t number);
uint32_t learned_find(const uint32_t *label);
uint32_t learned_add(const uint32_t *label, uint32_t number);
void learned_remove(uint32_t number);
uint32_t learned_save(void);
void learned_fit(void);

/* text.c */
void uart_send(uint32_t byte);
void text_begin(void);
void text(const char *words);
void text_name(uint32_t address, uint32_t bytes);
void text_number(uint32_t number);
void text_end(void);

/* protocol.c */
void protocol_receive(void);

#endif
