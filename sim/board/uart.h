// The host's end of the UART, at the SoC's pins: bytes become bits, and bits bytes. 8N1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

class Uart {
  public:
    explicit Uart(double divisor) : bit_(divisor) {}

    // Clock cycles a bit, from the next byte on.
    void set_divisor(double divisor) { bit_ = divisor; }

    // Forget what is on the line and what waits for it: the board loses its power.
    void reset() {
        sending_ = receiving_ = false;
        line_ = true;
        due_ = never;
        queue_.clear();
    }

    void send(const char *bytes, size_t count, uint64_t now) {
        queue_.insert(queue_.end(), bytes, bytes + count);
        if (!sending_ && count) due_ = now;
    }
    size_t queued() const { return queue_.size(); }

    // One clock cycle: takes the SoC's output, returns its input.
    bool step(uint64_t now, bool tx) {
        if (now >= due_) next_bit(now);
        if (!receiving_) {
            if (!tx) {
                receiving_ = true;
                start_ = now;
                count_ = 0;
                sample_ = now + uint64_t(bit_ / 2);
            }
        } else if (now >= sample_) {
            sample(now, tx);
        }
        return line_;
    }

    std::string received;
    uint64_t bytes_in = 0, bytes_out = 0;  // from the host, to the host
    uint64_t last_in = 0, last_out = 0;    // cycles at which the last of them were over
    uint64_t framing_errors = 0;           // stop bits that were low

  private:
    static constexpr uint64_t never = UINT64_MAX;

    void next_bit(uint64_t now) {
        if (!sending_) {
            if (queue_.empty()) {
                due_ = never;
                return;
            }
            sending_ = true;
            frame_ = 1u << 9 | uint8_t(queue_.front()) << 1;
            queue_.pop_front();
            ++bytes_in;
            begun_ = now;
            sent_ = 0;
        }
        if (sent_ == 10) {
            sending_ = false;
            last_in = now;
            next_bit(now);
            return;
        }
        line_ = frame_ >> sent_ & 1;
        ++sent_;
        due_ = begun_ + uint64_t(sent_ * bit_ + 0.5);
    }

    void sample(uint64_t now, bool tx) {
        if (count_ == 0 && tx) {  // no start bit but a glitch
            receiving_ = false;
            return;
        }
        if (count_ == 9) {
            receiving_ = false;
            if (tx) {
                received += char(byte_);
                ++bytes_out;
                last_out = now;
            } else {
                ++framing_errors;
            }
            return;
        }
        byte_ = byte_ >> 1 | tx << 7;
        ++count_;
        sample_ = start_ + uint64_t((count_ + 0.5) * bit_);
    }

    double bit_;
    std::deque<char> queue_;
    bool line_ = true, sending_ = false, receiving_ = false;
    unsigned frame_ = 0, sent_ = 0, count_ = 0;
    uint8_t byte_ = 0;
    uint64_t due_ = never, begun_ = 0, start_ = 0, sample_ = 0;
};
