// What connects the simulated board with other programs: its serial port, and a control socket.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

// The serial port: a pseudo-terminal, or this program's standard input and output.
class Port {
  public:
    ~Port();

    // A pseudo-terminal in raw mode, without echo; `link`, if not empty, becomes a symbolic link
    // to it. Returns its path. Throws std::runtime_error.
    std::string open_terminal(const std::string &link);
    void use_stdio();

    // Whether anybody has it open. What is sent to a port that nobody has open is lost, as it is
    // on a board.
    bool open() const;

    // What has come, at most `most` bytes; 0 where nothing has.
    size_t read(char *bytes, size_t most);

    // Send as much of `text` as goes now, and cut it off there.
    void write(std::string &text);

    int input() const { return in_; }
    int output() const { return out_; }
    bool ended() const { return ended_; }  // standard input is at its end

  private:
    int in_ = -1, out_ = -1;
    bool terminal_ = false, ended_ = false;
    std::string link_;
};

// A Unix socket that takes commands, a line each, and answers each with a line.
class Control {
  public:
    using Handler = std::function<std::string(const std::string &command)>;

    ~Control();
    // Throws std::runtime_error.
    void listen(const std::string &path, Handler handler);
    void serve();
    int descriptor() const { return client_ >= 0 ? client_ : listener_; }

  private:
    int listener_ = -1, client_ = -1;
    std::string path_, pending_;
    Handler handler_;
};
