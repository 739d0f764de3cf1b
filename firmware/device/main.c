/* The device from boot on: what it does when nobody asks, and its lights. */
#include "arithmetic.h"
#include "device.h"

#define GREEN 1u
#define RED 2u
#define CLASS_LOW 2 /* bit of LEDS from which on they show a class */
#define BUTTON_ALONE 1u

struct device device;

static const char *const error_names[] = {ERROR_NAMES};

uint32_t boot_error(void) { return ready() ? device.warning : device.error; }

/* Green: it serves all requests. Red blinks the boot error's number, then pauses for 1 s. */
static void lights(void) {
  uint32_t error = boot_error();
  uint32_t leds = ready() ? GREEN : 0;
  if (++device.blink >= 2 * error + 4) {
    device.blink = 0;
  }
  if (device.blink < 2 * error && device.blink % 2 == 0) {
    leds |= RED;
  }
  WRITE(LEDS, (leds | device.decision << CLASS_LOW) & MASK(LEDS, LEDS));
}

static void banner(void) {
  text_begin();
  text("DecisiveNets firmware ");
  text_number(FIRMWARE_MAJOR);
  text(".");
  text_number(FIRMWARE_MINOR);
  if (device.classes) {
    text(", ");
    text_name(DIRECTORY + 4 * WORD_NETWORK_NAME0, INFO_NAME_BYTES);
  }
  if (device.vectors) {
    text(", self-test: ");
    text_number(device.equal);
    text(" of ");
    text_number(device.vectors);
    text(" vectors equal");
  }
  if (boot_error()) {
    text(", error ");
    text_number(boot_error());
    text(": ");
    text(error_names[boot_error()]);
  }
  text_end();
}

/* Stand-alone mode: the next image of those in flash. */
static void show(void) {
  flash_copy(device.section[SECTION_DEMO_IMAGES] +
                 multiply(4 * device.image_words, device.image),
             device.image_words, DHAM_IMAGE_BASE);
  if (++device.image == DIRECTORY_WORD(DEMO)) {
    device.image = 0;
  }
  text_begin();
  text("image ");
  text_number(device.image ? device.image : DIRECTORY_WORD(DEMO));
  network_select(HEAD_CLASSES);
  if (network_run()) {
    text(": ");
    text_name(device.section[SECTION_NAMES] + LABEL_BYTES * device.decision, LABEL_BYTES);
    text(", ");
    text_number(READ(CYCLES));
    text(" cycles");
  } else {
    text(": the engine failed");
  }
  text_end();
}

/* Four times a second: lights; each fourth time an image. */
static void idle(void) {
  uint32_t now = READ(TIMER);
  if (READ(BUTTONS) & BUTTON_ALONE) {
    device.alone = 1;
  }
  if (now - device.tick_at < READ(CLOCK_HZ) / 4) {
    return;
  }
  device.tick_at = now;
  if (device.tick++ % 4 == 0 && device.alone && ready() && device.section[SECTION_DEMO_IMAGES] &&
      device.section[SECTION_NAMES]) {
    show();
  }
  lights();
}

void device_boot(void) {
  alive();
  device.tenth = divide(READ(CLOCK_HZ), 10);
  flash_identify();
  network_load();
  learned_load();
  banner();
  device.alone = 1;
  device.tick_at = READ(TIMER) - READ(CLOCK_HZ);
}

void device_poll(void) {
  alive();
  if (READ(UART) & MASK(UART, OVERRUN)) {
    device.counters[COUNTER_OVERRUNS]++;
    WRITE(UART, MASK(UART, OVERRUN_CLEAR));
  }
  if (READ(STREAM) & MASK(STREAM, VALID)) {
    protocol_receive();
  } else {
    idle();
  }
}
