/* Stands for libusb-1.0: as much of it as openFPGALoader asks. The devices are those of the
   environment variable STUB_USB, "vid:pid:manufacturer:product:serial" each, divided by ";".
   They are at bus 1, addresses 2 on; one whose serial number is "locked" cannot be opened. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct device { unsigned vendor, product; char text[3][64]; uint8_t address; };
struct descriptor {
  uint8_t length, type; uint16_t usb; uint8_t class, subclass, protocol, packet;
  uint16_t vendor, product, release; uint8_t manufacturer_text, product_text, serial_text, count;
};
static struct device devices[8];
static void *list[9];
static int count = -1;

static void read_devices(void) {
  const char *at = getenv("STUB_USB");
  count = 0;
  while (at && *at && count < 8) {
    struct device *d = &devices[count];
    if (sscanf(at, "%x:%x:%63[^:;]:%63[^:;]:%63[^:;]", &d->vendor, &d->product, d->text[0],
               d->text[1], d->text[2]) < 2) break;
    d->address = 2 + count;
    list[count++] = d;
    at = strchr(at, ';');
    if (at) at++;
  }
  list[count] = NULL;
}

int libusb_init(void **context) { if (context) *context = devices; return 0; }
void libusb_exit(void *context) {}
long libusb_get_device_list(void *context, void ***found) {
  if (count < 0) read_devices();
  *found = list;
  return count;
}
void libusb_free_device_list(void **found, int unref) {}
uint8_t libusb_get_bus_number(void *d) { return 1; }
uint8_t libusb_get_device_address(void *d) { return ((struct device *)d)->address; }
int libusb_get_config_descriptor(void *d, uint8_t index, void **found) { return -5; }
void libusb_free_config_descriptor(void *found) {}
void *libusb_get_device(void *handle) { return handle; }
int libusb_get_device_descriptor(void *device, struct descriptor *found) {
  struct device *d = device;
  memset(found, 0, sizeof *found);
  found->length = 18; found->type = 1; found->packet = 64; found->count = 1;
  found->vendor = d->vendor; found->product = d->product; found->release = 0x0700;
  found->manufacturer_text = 1; found->product_text = 2; found->serial_text = 3;
  return 0;
}
int libusb_get_port_numbers(void *d, uint8_t *ports, int size) { ports[0] = 1; return 1; }
int libusb_get_string_descriptor_ascii(void *handle, uint8_t index, unsigned char *to, int size) {
  const char *text = ((struct device *)handle)->text[index - 1];
  if (!*text) return -5;
  strncpy((char *)to, text, size);
  return strlen(text);
}
int libusb_open(void *device, void **handle) {
  if (!strcmp(((struct device *)device)->text[2], "locked")) return -3;
  *handle = device;
  return 0;
}
void *libusb_open_device_with_vid_pid(void *context, uint16_t vendor, uint16_t product) {
  void **found;
  for (long n = libusb_get_device_list(context, &found); n--; found++) {
    struct device *d = *found;
    if (d->vendor == vendor && d->product == product) return d;
  }
  return NULL;
}
void libusb_close(void *handle) {}
void *libusb_alloc_transfer(int packets) { return NULL; }
void libusb_free_transfer(void *transfer) {}
int libusb_attach_kernel_driver(void *h, int i) { return 0; }
int libusb_bulk_transfer(void *h, unsigned char e, unsigned char *d, int n, int *done, unsigned t) {
  if (done) *done = n;
  return 0;
}
int libusb_claim_interface(void *h, int i) { return 0; }
int libusb_control_transfer(void *h, uint8_t a, uint8_t b, uint16_t c, uint16_t d, unsigned char *e,
                            uint16_t n, unsigned t) { return 0; }
const char *libusb_error_name(int error) { return "ERROR"; }
const char *libusb_strerror(int error) { return error == -3 ? "Access denied" : "error"; }
int libusb_release_interface(void *h, int i) { return 0; }
int libusb_reset_device(void *h) { return 0; }
int libusb_set_auto_detach_kernel_driver(void *h, int i) { return 0; }
int libusb_set_interface_alt_setting(void *h, int a, int b) { return 0; }
