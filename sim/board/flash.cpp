#include "flash.h"

#include <algorithm>
#include <cstdio>

namespace {

enum Pin { CS = 1, SCK = 2, DI = 4 };

enum Instruction {
    PAGE_PROGRAM = 0x02,
    READ = 0x03,
    WRITE_DISABLE = 0x04,
    READ_STATUS = 0x05,
    WRITE_ENABLE = 0x06,
    FAST_READ = 0x0B,
    SECTOR_ERASE = 0x20,
    READ_ID = 0x9F,
    WAKE = 0xAB,
    SLEEP = 0xB9,
};

// Section 9.6, in ns.
constexpr double PERIOD_READ = 20, PERIOD = 7.5, SHARE = 0.45;  // fR, FR; tCRLH, tCRLL, tCLH, tCLL
constexpr double SELECT_SETUP = 5;                               // tSLCH
constexpr double SELECT_HOLD = 5;                                // tCHSL
constexpr double DATA_SETUP = 2, DATA_HOLD = 3;                  // tDVCH, tCHDX
constexpr double DESELECT_HOLD = 3;                              // tCHSH
constexpr double APART_READ = 10, APART_WRITE = 50;              // tSHSL1, tSHSL2
constexpr double WAKES = 3000, SLEEPS = 3000;                    // tRES1, tDP

constexpr uint8_t ID[] = {0xEF, 0x40, 0x18};
constexpr unsigned BUSY_BIT = 1, ENABLED_BIT = 2;

std::string hex(unsigned value, int digits) {
    char text[16];
    snprintf(text, sizeof text, "0x%0*X", digits, value);
    return text;
}

std::string number(double value) {
    char text[32];
    snprintf(text, sizeof text, "%.3g", value);
    return text;
}

}  // namespace

Flash::Flash(double clock_hz, Busy busy, Report report, Written written)
    : content(size, 0xFF), period_(1e9 / clock_hz), busy_(busy), report_(std::move(report)),
      written_(std::move(written)) {}

uint32_t Flash::random() {  // xorshift32, G. Marsaglia, 2003
    noise_ ^= noise_ << 13;
    noise_ ^= noise_ >> 17;
    noise_ ^= noise_ << 5;
    return noise_;
}

void Flash::violation(uint64_t now, const std::string &what) { report_(now, "flash: " + what); }

void Flash::change(uint64_t now, unsigned pins) {
    unsigned changed = pins ^ pins_;
    pins_ = pins;
    if (!powered_) return;
    if (changed & DI) {
        if (!(pins & CS) && pins & SCK && !(changed & SCK) && ns(rose_, now) < DATA_HOLD)
            violation(now, "DI changes too soon after CLK rises (tCHDX)");
        data_changed_ = now;
    }
    if (changed & CS) {
        if (pins & CS)
            deselect(now, changed);
        else
            select(now, changed, pins);
    } else if (changed & SCK) {
        if (pins & CS) {
            if (pins & SCK) rose_ = now;
        } else if (pins & SCK) {
            rise(now);
        } else {
            fell_ = now;
            fall();
        }
    }
    if (!driven_) cipo_ = random() & 1;
}

void Flash::select(uint64_t now, unsigned changed, unsigned pins) {
    if (ns(deselected_, now) < apart_)
        violation(now, "/CS is high for " + number(ns(deselected_, now)) + " ns, not " +
                           number(apart_) + " ns, between two instructions (tSHSL)");
    if (pins & SCK) violation(now, "selected while CLK is high: not SPI mode 0");
    if (rose_ && ns(rose_, now) < SELECT_HOLD)
        violation(now, "selected too soon after CLK rises (tCHSL)");
    if (changed & SCK && pins & SCK) rose_ = now;
    selected_ = now;
    fell_ = now;
    bits_ = 0;
    command_ = -1;
    ignored_ = too_fast_ = false;
    driven_ = false;
    data_.clear();
}

void Flash::rise(uint64_t now) {
    if (ns(selected_, now) < SELECT_SETUP)
        violation(now, "CLK rises too soon after /CS falls (tSLCH)");
    if (ns(data_changed_, now) < DATA_SETUP)
        violation(now, "DI changes too shortly before CLK rises (tDVCH)");
    if (bits_) {
        // The instruction is known after 8 bits; before, what holds for all.
        double limit = command_ == READ ? PERIOD_READ : PERIOD;
        double low = ns(fell_, now), high = ns(rose_, fell_);
        bool fast = ns(rose_, now) < limit || std::min(low, high) < SHARE * limit;
        if (fast && !too_fast_) {
            violation(now, "CLK of " + number(1e3 / ns(rose_, now)) + " MHz is too fast, at most " +
                               number(1e3 / limit) + " MHz for instruction " +
                               (command_ < 0 ? "bits" : hex(command_, 2)));
            too_fast_ = true;
        }
    }
    rose_ = now;
    shift_ = shift_ << 1 | (pins_ >> 2 & 1);
    ++bits_;
    if (bits_ == 8) begin(now);
    if (ignored_) return;
    if (bits_ == 32) address_ = shift_ & (size - 1);
    if (command_ == PAGE_PROGRAM && bits_ > 32 && bits_ % 8 == 0) data_.push_back(shift_);
}

void Flash::fall() {
    driven_ = false;
    if (ignored_ || command_ < 0) return;
    uint64_t first;  // bits before the output begins
    switch (command_) {
        case READ: first = 32; break;
        case FAST_READ: first = 40; break;
        case READ_STATUS:
        case READ_ID: first = 8; break;
        default: return;
    }
    if (bits_ < first) return;
    if ((bits_ - first) % 8 == 0) {
        if (command_ == READ_STATUS) {
            settle(fell_);
            out_ = (running_ ? BUSY_BIT : 0) | (enabled_ ? ENABLED_BIT : 0);
        } else if (command_ == READ_ID) {
            uint64_t index = (bits_ - first) / 8;
            out_ = index < sizeof ID ? ID[index] : 0;
        } else {
            out_ = content[address_];
            address_ = (address_ + 1) & (size - 1);
        }
    }
    driven_ = true;
    cipo_ = out_ >> 7;
    out_ <<= 1;
}

// The instruction's byte has come.
void Flash::begin(uint64_t now) {
    command_ = shift_ & 0xFF;
    settle(now);
    std::string name = "instruction " + hex(command_, 2);
    if (now < ready_ && !running_) {
        violation(now, name + " while the chip wakes or falls asleep (tRES1, tDP)");
        ignored_ = true;
    } else if (asleep_ && command_ != WAKE) {
        violation(now, name + " during power-down");
        ignored_ = true;
    } else if (running_ && command_ != READ_STATUS) {
        violation(now, name + " while busy");
        ignored_ = true;
    }
    if (ignored_) return;
    switch (command_) {
        case PAGE_PROGRAM:
        case SECTOR_ERASE:
            if (!enabled_) {
                violation(now, name + " without write enable");
                ignored_ = true;
            }
            break;
        case READ:
        case WRITE_DISABLE:
        case READ_STATUS:
        case WRITE_ENABLE:
        case FAST_READ:
        case READ_ID:
        case WAKE:
        case SLEEP: break;
        default:
            violation(now, name + " is not one that this model knows");
            ignored_ = true;
    }
}

void Flash::deselect(uint64_t now, unsigned changed) {
    deselected_ = now;
    driven_ = false;
    bool writes = command_ == PAGE_PROGRAM || command_ == SECTOR_ERASE ||
                  command_ == WRITE_ENABLE || command_ == WRITE_DISABLE;
    apart_ = writes ? APART_WRITE : APART_READ;
    if (!bits_) return;
    if (changed & SCK && pins_ & SCK) {
        violation(now, "deselected as CLK rises (tSHCH)");
        rose_ = now;
    } else if (ns(rose_, now) < DESELECT_HOLD) {
        violation(now, "deselected too soon after CLK rises (tCHSH)");
    }
    if (bits_ < 8)
        violation(now, "instruction cut off after " + std::to_string(bits_) + " bits");
    else if (!ignored_)
        execute(now);
}

void Flash::execute(uint64_t now) {
    uint64_t needed = 8, most = 8;
    switch (command_) {
        case READ: needed = 32, most = UINT64_MAX; break;
        case FAST_READ: needed = 40, most = UINT64_MAX; break;
        case READ_STATUS:
        case READ_ID: most = UINT64_MAX; break;
        case WAKE: most = UINT64_MAX; break;  // up to three dummy bytes, and the device's ID
        case PAGE_PROGRAM: needed = 40, most = UINT64_MAX; break;
        case SECTOR_ERASE: needed = most = 32; break;
    }
    bool reads = command_ == READ || command_ == FAST_READ || command_ == READ_STATUS ||
                 command_ == READ_ID;
    if (bits_ < needed || bits_ > most || (!reads && bits_ % 8)) {
        violation(now, "instruction " + hex(command_, 2) + " of " + std::to_string(bits_) +
                           " bits: it is not carried out");
        return;
    }
    switch (command_) {
        case WRITE_ENABLE: enabled_ = true; break;
        case WRITE_DISABLE: enabled_ = false; break;
        case PAGE_PROGRAM: program(now); break;
        case SECTOR_ERASE: erase(now); break;
        case SLEEP:
            asleep_ = true;
            ready_ = now + uint64_t(SLEEPS / period_);
            break;
        case WAKE:
            if (asleep_) ready_ = now + uint64_t(WAKES / period_);
            asleep_ = false;
            break;
    }
}

void Flash::settle(uint64_t now) {
    if (running_ && now >= ready_) running_ = enabled_ = false;
}

void Flash::start(uint64_t now, uint32_t address, double duration) {
    running_ = true;
    started_ = now;
    ready_ = now + uint64_t(duration / period_);
    where_ = address;
}

void Flash::program(uint64_t now) {
    ++programs_;
    uint32_t first = address_ & ~(page - 1);
    // Bytes beyond the page's end go on at its start; of more than 256, the last ones count.
    std::vector<uint8_t> latch(page, 0xFF);
    uint32_t at = address_ - first, low = page, high = 0;
    for (uint8_t byte : data_) {
        latch[at] = byte;
        low = std::min(low, at);
        high = std::max(high, at + 1);
        at = (at + 1) % page;
    }
    before_.assign(&content[first], &content[first] + page);
    for (uint32_t i = 0; i < page; ++i) {
        if (latch[i] != 0xFF && latch[i] & ~before_[i])
            violation(now, "page program at " + hex(first + i, 6) + ": " + hex(latch[i], 2) +
                               " over " + hex(before_[i], 2) + ", which is not erased");
        latch[i] &= before_[i];
    }
    start(now, first, busy_.program);
    for (uint32_t i = low; i < high && powered_; ++i) step(first + i, 1, &latch[i]);
    written_(first, page);
}

void Flash::erase(uint64_t now) {
    ++erases_;
    uint32_t first = address_ & ~(sector - 1);
    before_.assign(&content[first], &content[first] + sector);
    std::vector<uint8_t> target(page, 0xFF);
    start(now, first, busy_.erase);
    for (uint32_t i = 0; i < sector && powered_; i += page) step(first + i, page, target.data());
    written_(first, sector);
}

void Flash::step(uint32_t address, uint32_t bytes, const uint8_t *target) {
    if (cut_ == 0) {
        spoil(address, bytes, target);
        running_ = false;  // what was done is in `content` already
        powered_ = driven_ = false;
        cipo_ = false;
        return;
    }
    if (cut_ > 0) --cut_;
    ++steps_;
    std::copy(target, target + bytes, &content[address]);
}

// Half done: of the bits that were to change, some did.
void Flash::spoil(uint32_t address, uint32_t bytes, const uint8_t *target) {
    for (uint32_t i = 0; i < bytes; ++i)
        content[address + i] ^= (content[address + i] ^ target[i]) & random() >> 8;
}

void Flash::power_off(uint64_t now) {
    if (powered_ && running_ && now < ready_) {
        double share = double(now - started_) / double(ready_ - started_);
        uint32_t all = before_.size(), done = uint32_t(all * share);
        std::vector<uint8_t> target(&content[where_], &content[where_] + all);
        std::copy(before_.begin() + done, before_.end(), &content[where_ + done]);
        uint32_t half = std::min(all - done, all / 16);
        spoil(where_ + done, half, &target[done]);
        written_(where_, all);
    }
    powered_ = running_ = driven_ = false;
    cipo_ = false;
}

void Flash::power_on(uint64_t now, bool asleep) {
    powered_ = true;
    asleep_ = asleep;
    enabled_ = running_ = driven_ = false;
    ready_ = selected_ = deselected_ = fell_ = data_changed_ = now;
    rose_ = 0;
    apart_ = 0;
    bits_ = 0;
    command_ = -1;
    pins_ = CS;
    cut_ = -1;
}
