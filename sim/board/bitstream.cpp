// Reads the commands of an iCE40 bitstream, as far as they matter to the flash.
//
// Comments, then the synchronisation word 7E AA 99 7E, then commands. A command is a byte, whose
// high half says which one and whose low half how many bytes of argument follow, highest first.
// Command 0 says by its argument what is done: data of configuration or block RAMs follow (1, 3),
// as many bits as the bank is wide and high, and two zero bytes; or the chip wakes up (6), which
// ends the bitstream, or starts anew at the boot address (8), as in the header of several images.
//
// Source: documentation of Project IceStorm, "Bitstream file format"; Lattice TN1248. Neither names
// the bit that keeps the flash awake: bit 0 of command 9's argument, which `icepack -s` sets.

#include "bitstream.h"

#include <algorithm>

namespace {

enum Command {
    ACT = 0,
    BOOT_ADDRESS = 4,
    BANK_WIDTH = 6,
    BANK_HEIGHT = 7,
    MODE = 9,
};
enum Act { CRAM_DATA = 1, BRAM_DATA = 3, RESET_CRC = 5, WAKE_UP = 6, REBOOT = 8 };

constexpr uint8_t SYNC[] = {0x7E, 0xAA, 0x99, 0x7E};
constexpr size_t COMMENT = 1024;  // bytes before the synchronisation word, at most
constexpr uint32_t KEEP_AWAKE = 1;
constexpr int REBOOTS = 4;  // more of them have no end

}  // namespace

bool leaves_flash_asleep(const std::vector<uint8_t> &content) {
    size_t at = 0;
    for (int reboots = 0; reboots <= REBOOTS; ++reboots) {
        auto first = content.begin() + std::min(at, content.size());
        auto last = content.begin() + std::min(at + COMMENT + sizeof SYNC, content.size());
        auto sync = std::search(first, last, std::begin(SYNC), std::end(SYNC));
        if (sync == last) return false;
        at = sync - content.begin() + sizeof SYNC;
        bool asleep = true, rebooted = false;
        uint64_t width = 0, height = 0;
        size_t address = 0;
        while (!rebooted) {
            if (at >= content.size()) return false;
            unsigned command = content[at] >> 4, bytes = content[at] & 15;
            ++at;
            if (at + bytes > content.size()) return false;
            uint32_t argument = 0;
            for (; bytes; --bytes) argument = argument << 8 | content[at++];
            switch (command) {
                case ACT:
                    if (argument == CRAM_DATA || argument == BRAM_DATA)
                        at += width * height / 8 + 2;
                    else if (argument == REBOOT)
                        rebooted = true;
                    else if (argument == WAKE_UP)
                        return asleep;
                    else if (argument != RESET_CRC)
                        return false;
                    break;
                case BOOT_ADDRESS: address = argument & 0xFFFFFF; break;  // behind a read command
                case BANK_WIDTH: width = uint64_t(argument) + 1; break;
                case BANK_HEIGHT: height = argument; break;
                case MODE: asleep = !(argument & KEEP_AWAKE); break;
                case 1:  // bank
                case 2:  // CRC
                case 5:  // rate of the clock
                case 8:  // offset in the bank
                    break;
                default: return false;
            }
        }
        at = address;
    }
    return false;
}
