/* Stands for libftdi1: the FT2232H of each device of `usb.c`, with a W25Q128 SPI flash on its first
   interface. A flash holds what the file STUB_FLASH/SERIAL holds, from run to run; it behaves as
   STUB_MODE says: "good"; "locked", which ignores erase and program commands; "absent", all ones;
   "flaky", in which a bit flips in every 1000th byte read; "fades", which forgets what was written
   when the program ends. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE (1 << 24)
struct descriptor { uint8_t head[8]; uint16_t vendor, product; uint8_t tail[8]; };
long libusb_get_device_list(void *context, void ***found);
uint8_t libusb_get_device_address(void *device);
int libusb_get_device_descriptor(void *device, struct descriptor *found);
int libusb_get_string_descriptor_ascii(void *handle, uint8_t index, unsigned char *to, int size);
int libusb_open(void *device, void **handle);

/* As libftdi1 1.5 has it: openFPGALoader reads its fields. */
struct context {
  void *usb, *device; int read_timeout, write_timeout, type, baud; unsigned char bitbang;
  unsigned char *buffer; unsigned offset, remaining, read_chunk, write_chunk, packet;
  int interface, index, in, out; char rest[2048];
};
static struct context it;
static uint8_t *memory, queue[1 << 22], pending[1 << 20], low = 0xff, high = 0xff;
static int deselected = 1, count, command, enabled, first, last, waiting;
static uint32_t address, served;
static const char *mode = "good";

static int is(const char *name) { return !strcmp(mode, name); }

static int power(void *device) {
  char path[512] = "", serial[64] = "none";
  const char *folder = getenv("STUB_FLASH");
  if (libusb_open(device, &device)) return -4;
  libusb_get_string_descriptor_ascii(device, 3, (unsigned char *)serial, sizeof serial);
  if (getenv("STUB_MODE")) mode = getenv("STUB_MODE");
  snprintf(path, sizeof path, "%s/%s", folder ? folder : ".", serial);
  int file = open(path, O_RDWR | O_CREAT, 0644), fresh = lseek(file, 0, SEEK_END) != SIZE;
  if (file < 0 || ftruncate(file, SIZE)) return -1;
  memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (fresh) memset(memory, 0xff, SIZE);
  if (is("fades")) memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  close(file);
  it.device = device;
  return 0;
}

static void push(uint8_t byte) { queue[last++] = byte; if (last == sizeof queue) last = 0; }

static uint8_t transfer(uint8_t byte) {
  uint8_t answer = 0xff;
  if (deselected || is("absent")) return answer;
  if (count == 0) {
    command = byte; address = 0;
    if (byte == 0x06) enabled = 1;
    if (byte == 0x04) enabled = 0;
  } else if (command == 0x9f) answer = count == 1 ? 0xef : count == 2 ? 0x40 : count == 3 ? 0x18 : 0;
  else if (command == 0x05) answer = enabled ? 2 : 0;
  else if (command == 0x35 || command == 0x15) answer = 0;
  else if (count <= 3) address = address << 8 | byte;
  else if (command == 0x03 || (command == 0x0b && count > 4)) {
    answer = memory[(address + count - (command == 0x03 ? 4 : 5)) & (SIZE - 1)];
    if (is("flaky") && ++served % 1000 == 0) answer ^= 0x10;
  } else if (command == 0x02 && enabled && !is("locked"))
    memory[((address & ~255u) | ((address + count - 4) & 255)) & (SIZE - 1)] &= byte;
  count++;
  return answer;
}

static void select_chip(int level) {
  int erases = command == 0x20 || command == 0xd8;
  if (level && !deselected) {
    if (enabled && erases && count == 4 && !is("locked")) {
      uint32_t size = command == 0x20 ? 4096 : 65536;
      memset(memory + (address & (SIZE - 1) & ~(size - 1)), 0xff, size);
    }
    if (erases || command == 0x02) enabled = 0;
  }
  if (!level && deselected) count = 0;
  deselected = level;
}

void *ftdi_new(void) {
  memset(&it, 0, sizeof it);
  it.type = 4; it.packet = 512; it.in = 2; it.out = 0x81;
  return &it;
}
void ftdi_free(void *c) {}
const char *ftdi_get_error_string(void *c) { return "stub"; }
int ftdi_usb_open_desc_index(void *c, int vendor, int product, const char *description,
                             const char *serial, unsigned index) {
  void **found;
  for (long n = libusb_get_device_list(NULL, &found); n--; found++) {
    struct descriptor d;
    char text[64] = "";
    libusb_get_device_descriptor(*found, &d);
    libusb_get_string_descriptor_ascii(*found, 3, (unsigned char *)text, sizeof text);
    if (d.vendor != vendor || d.product != product || (serial && strcmp(serial, text))) continue;
    if (index-- == 0) return power(*found);
  }
  return -3;
}
int ftdi_usb_open(void *c, int vendor, int product) {
  return ftdi_usb_open_desc_index(c, vendor, product, NULL, NULL, 0);
}
int ftdi_usb_open_bus_addr(void *c, uint8_t bus, uint8_t at) {
  void **found;
  for (long n = libusb_get_device_list(NULL, &found); n--; found++)
    if (bus == 1 && libusb_get_device_address(*found) == at) return power(*found);
  return -3;
}
#define NOTHING(name) int name(void *c, ...) { return 0; }
NOTHING(ftdi_read_data_set_chunksize) NOTHING(ftdi_write_data_set_chunksize)
NOTHING(ftdi_set_baudrate) NOTHING(ftdi_set_bitmode) NOTHING(ftdi_set_error_char)
NOTHING(ftdi_set_event_char) NOTHING(ftdi_set_interface) NOTHING(ftdi_set_latency_timer)
NOTHING(ftdi_usb_purge_buffers) NOTHING(ftdi_usb_purge_rx_buffer)
NOTHING(ftdi_usb_purge_tx_buffer) NOTHING(ftdi_usb_reset)

/* The MPSSE engine's commands (FTDI AN_108) that openFPGALoader uses, whole ones as they come. */
int ftdi_write_data(void *c, const unsigned char *data, int size) {
  int at = 0;
  memcpy(pending + waiting, data, size);
  waiting += size;
  while (at < waiting) {
    uint8_t *code = pending + at;
    int left = waiting - at, writes = *code & 0x10, reads = *code & 0x20, need;
    if (*code < 0x40) {
      int bits = *code & 2, bytes = 0;
      if (bits) need = writes ? 3 : 2;
      else {
        if (left < 3) break;
        bytes = code[1] + 256 * code[2] + 1;
        need = 3 + (writes ? bytes : 0);
      }
      if (left < need) break;
      if (bits && reads) push(0xff);
      for (int n = 0; n < bytes; n++) {
        uint8_t answer = transfer(writes ? code[3 + n] : 0);
        if (reads) push(answer);
      }
    } else if (*code == 0x80 || *code == 0x82) {
      if (left < (need = 3)) break;
      if (*code == 0x80) { low = code[1]; select_chip(low >> 4 & 1); } else high = code[1];
    } else if (*code == 0x81 || *code == 0x83) {
      need = 1;
      push(*code == 0x81 ? low | 0xc0 : 0xff);
    } else if (*code == 0x86 || (*code >= 0x9c && *code <= 0x9e) || *code == 0x8f) {
      if (left < (need = 3)) break;
    } else if (*code == 0x8e) {
      if (left < (need = 2)) break;
    } else if ((*code >= 0x84 && *code <= 0x8d) || (*code >= 0x95 && *code <= 0x97)) need = 1;
    else { need = 1; push(0xfa); push(*code); }
    at += need;
  }
  memmove(pending, pending + at, waiting - at);
  waiting -= at;
  return size;
}
int ftdi_read_data(void *c, unsigned char *to, int size) {
  int taken = 0;
  while (taken < size && first != last) {
    to[taken++] = queue[first++];
    if (first == sizeof queue) first = 0;
  }
  return taken;
}
