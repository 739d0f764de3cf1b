// What an iCE40's bitstream says of the flash that the chip configured itself from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

// Whether the flash is asleep once an iCE40 has configured itself from its content: the chip sends
// Power-down (0xB9) at the end, unless the bitstream at address 0 forbids it (`icepack -s`). False
// where there is no whole bitstream: then no chip sends anything.
bool leaves_flash_asleep(const std::vector<uint8_t> &content);
