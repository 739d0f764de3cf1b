// The simulated board: the SoC as compiled RTL, with its flash, its UART, lights and buttons.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <termios.h>

#include "Vboard.h"
#include "channel.h"
#include "flash.h"
#include "options.h"
#include "uart.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

using Clock = std::chrono::steady_clock;
inline double since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

class Board {
  public:
    explicit Board(const Options &options);
    ~Board();
    int run();

  private:
    void open_flash();
    void read_flash();
    void store(uint32_t address, uint32_t bytes);
    void power_up();
    void power_cycle(bool reload, int64_t cut);
    void cycles(uint64_t count);
    void half(bool level);
    void serve();
    void keys();
    void pause(int milliseconds, bool for_room = false);
    void show(bool force = false);
    void violation(uint64_t cycle, const std::string &what);
    void note(const std::string &text);
    std::string command(const std::string &line);
    std::string status() const;

    const Options &options_;
    double clock_hz_, divisor_;
    Flash flash_;
    Uart uart_;
    Port port_;
    Control control_;
    std::unique_ptr<VerilatedContext> context_;
    std::unique_ptr<Vboard> top_;
#if VM_TRACE
    std::unique_ptr<VerilatedVcdC> trace_;
#endif
    uint64_t trace_from_ = 0, trace_end_ = UINT64_MAX;

    uint64_t now_ = 0, started_ = 0, limit_;
    unsigned pins_ = 1, buttons_ = 0, leds_ = 0, starts_ = 0;
    uint64_t framing_errors_ = 0;
    std::string outgoing_;
    int file_ = -1;
    std::vector<std::string> violations_;
    uint64_t violation_count_ = 0;
    std::vector<std::string> led_names_;

    // The last byte or key; the last one from the host or the user; the last status line.
    Clock::time_point active_ = Clock::now(), asked_ = active_, shown_ = active_;
    uint64_t shown_cycle_ = 0;
    bool stop_ = false, terminal_, keyed_ = false, line_open_ = false;
    bool noise_ = false;  // the host's end of the UART has another rate, on purpose
    termios saved_{};
};
