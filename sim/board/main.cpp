// The simulated board's dealings with people and programs, and its main loop.
//
// `sim.board.model` compiles it together with what Verilator makes of the RTL; `sim.board` starts
// it. The first line on standard output is "port: PATH". Exit status: 0, 1 if the flash's or the
// UART's rules were violated, 2 if it could not start.

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <poll.h>
#include <unistd.h>

#include "board.h"

namespace {

constexpr uint64_t BATCH = 2048;           // cycles between two looks at the world outside
constexpr size_t QUEUE = 512;              // bytes from the host that wait for the line
constexpr size_t SHOWN = 20, KEPT = 1000;  // violations
constexpr int SLOW_MS = 50;                // pause between two batches where nothing happens

volatile sig_atomic_t stopped = 0;
void on_signal(int) { stopped = 1; }

}  // namespace

void Board::violation(uint64_t cycle, const std::string &what) {
    std::string text = "cycle " + std::to_string(cycle) + ": " + what;
    if (violations_.size() < KEPT) violations_.push_back(text);
    if (++violation_count_ <= SHOWN) note("violation: " + text);
    if (violation_count_ == SHOWN) note("violation: further ones are only counted");
}

void Board::note(const std::string &text) {
    fprintf(stderr, "%s%s\n", line_open_ ? "\r\033[K" : "", text.c_str());
    line_open_ = false;
}

// The lights, when they change; on a terminal also the speed, a few times a second.
void Board::show(bool force) {
    if (options_.has("quiet")) return;
    unsigned leds = flash_.powered() ? top_->leds : 0;
    double passed = since(shown_);
    bool changed = leds != leds_ || force;
    if (!(terminal_ ? passed > 0.25 || (changed && passed > 0.05) : changed && passed > 0.05))
        return;
    std::string lit;
    for (size_t i = 0; i < led_names_.size(); ++i)
        if (leds >> i & 1) lit += " " + led_names_[i];
    std::string pressed;
    for (int i = 0; i < 4; ++i)
        if (buttons_ >> i & 1) pressed += " " + std::to_string(i + 1);
    char time[64];
    snprintf(time, sizeof time, "%8.3f ms", (now_ - started_) / clock_hz_ * 1e3);
    if (terminal_) {
        fprintf(stderr, "\r\033[K%s  lights:%-24s buttons:%-8s %.2f M cycles/s", time,
                lit.c_str(), pressed.c_str(), (now_ - shown_cycle_) / passed / 1e6);
        line_open_ = true;
    } else {
        fprintf(stderr, "%s  lights:%s\n", time, lit.c_str());
    }
    fflush(stderr);
    leds_ = leds;
    shown_ = Clock::now();
    shown_cycle_ = now_;
}

std::string Board::status() const {
    std::ostringstream out;
    out << "{\"cycles\": " << now_ << ", \"since_start\": " << now_ - started_
        << ", \"powered\": " << (flash_.powered() ? "true" : "false")
        << ", \"leds\": " << (flash_.powered() ? int(top_->leds) : 0)
        << ", \"buttons\": " << buttons_ << ", \"bytes_in\": " << uart_.bytes_in
        << ", \"bytes_out\": " << uart_.bytes_out << ", \"last_in\": " << uart_.last_in
        << ", \"last_out\": " << uart_.last_out << ", \"queued\": " << uart_.queued()
        << ", \"framing_errors\": " << uart_.framing_errors
        << ", \"programs\": " << flash_.programs() << ", \"erases\": " << flash_.erases()
        << ", \"steps\": " << flash_.steps() << ", \"violation_count\": " << violation_count_
        << ", \"violations\": [";
    for (size_t i = 0; i < violations_.size(); ++i)
        out << (i ? ", \"" : "\"") << violations_[i] << "\"";
    out << "]}";
    return out.str();
}

std::string Board::command(const std::string &line) {
    std::istringstream words(line);
    std::string what;
    words >> what;
    if (what == "status") return status();
    if (what == "stop") {
        stop_ = true;
        return "ok";
    }
    if (what == "power-cycle") {
        std::string reload;
        int64_t cut = -1;
        words >> cut >> reload;
        power_cycle(reload == "reload", cut);
        return "ok";
    }
    if (what == "power-off") {
        flash_.power_off(now_);
        uart_.reset();
        return "ok";
    }
    int64_t value;
    if (what == "cut" && words >> value) {
        flash_.cut_after(value);
        return "ok";
    }
    unsigned number, level;
    if (what == "button" && words >> number >> level && number < 4 && level < 2) {
        buttons_ = (buttons_ & ~(1u << number)) | level << number;
        top_->buttons = buttons_;
        active_ = asked_ = Clock::now();
        return "ok";
    }
    double divisor;
    if (what == "divisor" && words >> divisor && divisor >= 0) {
        uart_.set_divisor(divisor ? divisor : divisor_);
        noise_ = divisor != 0;
        return "ok";
    }
    return "error: unknown command " + line;
}

void Board::keys() {
    char key;
    while (keyed_ && ::read(STDIN_FILENO, &key, 1) == 1) {
        if (key >= '1' && key <= '4') {
            buttons_ ^= 1u << (key - '1');
            top_->buttons = buttons_;
        } else if (key == 'p') {
            power_cycle(false, -1);
        } else if (key == 'q') {
            stop_ = true;
        }
        active_ = asked_ = Clock::now();
    }
    if (options_.has("until-eof")) {
        pollfd state{STDIN_FILENO, POLLIN, 0};
        char rest[256];
        if (poll(&state, 1, 0) > 0 && ::read(STDIN_FILENO, rest, sizeof rest) == 0) stop_ = true;
    }
}

void Board::serve() {
    control_.serve();
    keys();
    if (uart_.queued() < QUEUE / 2) {
        char bytes[QUEUE / 2];
        size_t count = port_.read(bytes, sizeof bytes);
        if (count && flash_.powered()) uart_.send(bytes, count, now_);
        if (count) active_ = asked_ = Clock::now();
    }
    if (!uart_.received.empty()) {
        outgoing_ += uart_.received;
        uart_.received.clear();
        active_ = Clock::now();
    }
    port_.write(outgoing_);
    if (uart_.framing_errors != framing_errors_) {
        framing_errors_ = uart_.framing_errors;
        if (!noise_) violation(now_, "UART: a stop bit is low");
    }
    show();
}

// Wait for the world outside.
void Board::pause(int milliseconds, bool for_room) {
    std::vector<pollfd> all;
    // A terminal that nobody has open would wake at once.
    if (port_.open() && !port_.ended()) {
        all.push_back({port_.input(), POLLIN, 0});
        if (for_room) all[0].events = 0;
    }
    if (for_room) all.push_back({port_.output(), POLLOUT, 0});
    if (control_.descriptor() >= 0) all.push_back({control_.descriptor(), POLLIN, 0});
    if (keyed_ || options_.has("until-eof")) all.push_back({STDIN_FILENO, POLLIN, 0});
    poll(all.data(), all.size(), milliseconds);
}

int Board::run() {
    auto begun = Clock::now();
    double idle = options_.number("idle", 60), max_idle = options_.number("max-idle", 1e18);
    bool waiting = options_.has("wait");
    uint64_t first = now_;
    while (!stop_ && !stopped && now_ - first < limit_) {
        serve();
        if (waiting && port_.open()) waiting = false;
        if (since(asked_) > max_idle) break;
        if (!outgoing_.empty()) {
            pause(SLOW_MS, true);  // the host does not take its bytes: time stands still
        } else if (waiting || !flash_.powered()) {
            pause(SLOW_MS);
        } else {
            cycles(std::min(BATCH, limit_ - (now_ - first)));
            if (since(active_) > idle) pause(SLOW_MS);
        }
    }
    serve();
    show(true);
    flash_.power_off(now_);
#if VM_TRACE
    if (trace_) trace_->close();
#endif
    top_->final();
    double seconds = since(begun);
    char text[160];
    snprintf(text, sizeof text, "%llu cycles in %.1f s: %.2f M cycles/s",
             static_cast<unsigned long long>(now_), seconds, now_ / seconds / 1e6);
    if (!options_.has("quiet")) note(text);
    if (violation_count_) note("violations: " + std::to_string(violation_count_));
    return violation_count_ ? 1 : 0;
}

int main(int count, char **words) {
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGPIPE, SIG_IGN);
    try {
        Options options(count, words);
        Board board(options);
        return board.run();
    } catch (const std::exception &error) {
        fprintf(stderr, "error: %s\n", error.what());
        return 2;
    }
}
