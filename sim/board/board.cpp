// The board's power, clock and flash file.

#include "board.h"

#include "bitstream.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sstream>
#include <stdexcept>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace {

Flash::Busy busy_times(const std::string &name) {
    // Section 9.6: tPP and tSE in ns; "short" is for tests alone.
    if (name == "typical") return {0.7e6, 45e6};
    if (name == "maximum") return {3e6, 400e6};
    if (name == "short") return {20e3, 50e3};
    throw std::runtime_error("unknown flash timing " + name);
}

}  // namespace

Board::Board(const Options &options)
    : options_(options), clock_hz_(options.number("clock-hz", 36e6)),
      divisor_(options.number("divisor", 6)),
      flash_(clock_hz_,
             busy_times(options.text("flash-timing", "typical")),
             [this](uint64_t cycle, const std::string &what) { violation(cycle, what); },
             [this](uint32_t address, uint32_t bytes) { store(address, bytes); }),
      uart_(divisor_), limit_(uint64_t(options.number("cycles", 1.8e19))),
      terminal_(isatty(STDERR_FILENO)) {
    std::stringstream names(options.text("leds"));
    for (std::string name; std::getline(names, name, ',');) led_names_.push_back(name);
    open_flash();
    if (options.has("control"))
        control_.listen(options.text("control"),
                        [this](const std::string &line) { return command(line); });
    if (options.has("stdio")) {
        port_.use_stdio();
        fprintf(stderr, "port: -\n");
    } else {
        printf("port: %s\n", port_.open_terminal(options.text("link")).c_str());
        fflush(stdout);
        keyed_ = !options.has("until-eof") && isatty(STDIN_FILENO);
    }
    if (keyed_) {
        tcgetattr(STDIN_FILENO, &saved_);
        termios changed = saved_;
        changed.c_lflag &= ~(ICANON | ECHO);
        changed.c_cc[VMIN] = 0;
        tcsetattr(STDIN_FILENO, TCSANOW, &changed);
        fprintf(stderr, "keys: 1 to 4 press and release buttons, p power off and on, q quit\n");
    }
    power_up();
    flash_.cut_after(int64_t(options.number("cut", -1)));
}

Board::~Board() {
    if (keyed_) tcsetattr(STDIN_FILENO, TCSANOW, &saved_);
    if (file_ >= 0) close(file_);
}

void Board::open_flash() {
    std::string path = options_.text("flash");
    bool kept = !options_.has("discard");
    file_ = open(path.c_str(), (kept ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (file_ < 0) throw std::runtime_error("flash " + path + ": " + strerror(errno));
    if (kept && flock(file_, LOCK_EX | LOCK_NB))
        throw std::runtime_error("flash " + path + " is in use by another simulated board");
    read_flash();
}

void Board::read_flash() {
    std::fill(flash_.content.begin(), flash_.content.end(), 0xFF);
    size_t done = 0;
    ssize_t count;
    while (done < Flash::size &&
           (count = pread(file_, &flash_.content[done], Flash::size - done, done)) > 0)
        done += count;
}

// What changed in the flash goes into the file at once, so that it outlives the process.
void Board::store(uint32_t address, uint32_t bytes) {
    if (options_.has("discard")) return;
    off_t end = lseek(file_, 0, SEEK_END);
    uint32_t first = end < address ? uint32_t(end) : address;  // a gap is erased flash
    for (uint32_t at = first; at < address + bytes;) {
        ssize_t count = pwrite(file_, &flash_.content[at], address + bytes - at, at);
        if (count <= 0)
            throw std::runtime_error("flash " + options_.text("flash") + ": " + strerror(errno));
        at += count;
    }
}

void Board::power_up() {
#if VM_TRACE
    if (trace_) trace_->close();
    trace_.reset();
#endif
    if (top_) top_->final();
    top_.reset();
    context_.reset(new VerilatedContext);
    context_->randSeed(int(options_.number("seed", 1)) + int(starts_));
    ++starts_;
#if VM_TRACE
    context_->traceEverOn(options_.has("trace"));
#endif
    context_->threads(unsigned(options_.number("threads", 1)));
    top_.reset(new Vboard(context_.get(), "board"));
#if VM_TRACE
    if (options_.has("trace")) {
        trace_from_ = uint64_t(options_.number("trace-from", 0));
        trace_end_ = trace_from_ + uint64_t(options_.number("trace-cycles", 1e18));
        trace_.reset(new VerilatedVcdC);
        top_->trace(trace_.get(), 99);
        std::string name = options_.text("trace");
        if (starts_ > 1) name += "." + std::to_string(starts_);
        trace_->open(name.c_str());
        if (!trace_->isOpen()) throw std::runtime_error("trace " + name + " cannot be written");
    }
#endif
    started_ = now_;
    flash_.power_on(now_, leaves_flash_asleep(flash_.content));
    uart_.reset();
    pins_ = 1;
    top_->uart_rx = 1;
    top_->flash_cipo = 1;
    top_->buttons = buttons_;
    top_->clk = 0;
    top_->eval();
}

void Board::power_cycle(bool reload, int64_t cut) {
    flash_.power_off(now_);
    if (reload) {
        int file = open(options_.text("flash").c_str(), O_RDWR | O_CLOEXEC);
        if (file < 0) throw std::runtime_error("flash: " + std::string(strerror(errno)));
        close(file_);
        file_ = file;
        flock(file_, LOCK_EX | LOCK_NB);
        read_flash();
    }
    power_up();
    flash_.cut_after(cut);
    active_ = asked_ = Clock::now();
}

void Board::half(bool level) {
    top_->clk = level;
    top_->eval();
#if VM_TRACE
    if (trace_ && now_ >= trace_from_ && now_ < trace_end_)
        trace_->dump(uint64_t((2 * (now_ - started_) + !level) * 5e8 / clock_hz_ * 1000));
#endif
}

void Board::cycles(uint64_t count) {
    for (uint64_t end = now_ + count; now_ < end; ++now_) {
        half(1);
        unsigned pins = top_->flash_cs_n | top_->flash_sck << 1 | top_->flash_copi << 2;
        if (pins != pins_) {
            flash_.change(now_, pins);
            pins_ = pins;
            top_->flash_cipo = flash_.cipo();
        }
        top_->uart_rx = uart_.step(now_, top_->uart_tx);
        half(0);
        if (!flash_.powered()) {
            note("power failed at cycle " + std::to_string(now_) + ", after " +
                 std::to_string(flash_.steps()) + " steps of programming and erasing");
            uart_.reset();
            break;
        }
    }
}
