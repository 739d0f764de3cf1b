// Behavioural model of the SPI flash W25Q128JV: what its pins do, and what it forbids.
//
// It is told of every change of its pins, with the clock cycle of the change, and checks timing at
// that granularity. What the data sheet forbids is reported as a violation, and does what the chip
// would do at best: nothing. Source: Winbond W25Q128JV data sheet, sections 8 (instructions) and
// 9.6 (AC characteristics).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

class Flash {
  public:
    static constexpr uint32_t size = 1u << 24, sector = 4096, page = 256;

    // How long the chip is busy, in ns.
    struct Busy {
        double program, erase;
    };
    using Report = std::function<void(uint64_t cycle, const std::string &what)>;
    using Written = std::function<void(uint32_t address, uint32_t bytes)>;

    // `clock_hz` turns cycles into time; `written` is called after each change of `content`.
    Flash(double clock_hz, Busy busy, Report report, Written written);

    std::vector<uint8_t> content;  // of `size` bytes

    // Pins as bits: 1 /CS, 2 CLK, 4 DI. Call it in each cycle in which one of them changed.
    void change(uint64_t now, unsigned pins);

    // The chip's output DO; what it does not drive is noise.
    bool cipo() const { return cipo_; }

    // Power fails after so many steps: a programmed byte is one, and so is each page of a sector
    // that is erased. The step that comes then is left half done. Negative: never.
    void cut_after(int64_t steps) { cut_ = steps; }
    bool powered() const { return powered_; }

    // Power off, with what is under way left unfinished, and on again at cycle `now`; `asleep`:
    // something has put the chip into power-down since.
    void power_off(uint64_t now);
    void power_on(uint64_t now, bool asleep = false);

    uint64_t programs() const { return programs_; }
    uint64_t erases() const { return erases_; }
    uint64_t steps() const { return steps_; }

  private:
    void select(uint64_t now, unsigned changed, unsigned pins);
    void deselect(uint64_t now, unsigned changed);
    void rise(uint64_t now);
    void fall();
    void begin(uint64_t now);
    void execute(uint64_t now);
    void program(uint64_t now);
    void erase(uint64_t now);
    void step(uint32_t address, uint32_t bytes, const uint8_t *target);
    void spoil(uint32_t address, uint32_t bytes, const uint8_t *target);
    void start(uint64_t now, uint32_t address, double ns);
    void settle(uint64_t now);
    bool allowed(uint64_t now, const char *what);
    void violation(uint64_t now, const std::string &what);
    double ns(uint64_t from, uint64_t to) const { return (to - from) * period_; }
    uint32_t random();

    double period_;  // ns of a cycle
    Busy busy_;
    Report report_;
    Written written_;

    unsigned pins_ = 1;
    bool cipo_ = true, driven_ = false, powered_ = true, asleep_ = false, enabled_ = false;
    bool running_ = false;  // programming or erasing
    uint64_t selected_ = 0, deselected_ = 0, rose_ = 0, fell_ = 0, data_changed_ = 0;
    uint64_t ready_ = 0;   // busy, or asleep, until then
    double apart_ = 0;     // ns between the last instruction and the next
    bool ignored_ = false, too_fast_ = false;

    uint64_t bits_ = 0;
    uint32_t shift_ = 0, address_ = 0;
    int command_ = -1;
    uint8_t out_ = 0;
    std::vector<uint8_t> data_;  // of a page program

    // The operation under way: what was there before, for a power that fails in the middle.
    uint32_t where_ = 0;
    uint64_t started_ = 0;
    std::vector<uint8_t> before_;

    int64_t cut_ = -1;
    uint64_t programs_ = 0, erases_ = 0, steps_ = 0;
    uint32_t noise_ = 0x2545F491;
};
