#include "channel.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

namespace {

[[noreturn]] void fail(const std::string &what) {
    throw std::runtime_error(what + ": " + strerror(errno));
}

void set_nonblocking(int descriptor) {
    fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
}

}  // namespace

Port::~Port() {
    if (!link_.empty()) unlink(link_.c_str());
    if (terminal_) close(in_);
}

std::string Port::open_terminal(const std::string &link) {
    in_ = out_ = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (in_ < 0 || grantpt(in_) || unlockpt(in_)) fail("no pseudo-terminal can be opened");
    terminal_ = true;
    std::string path = ptsname(in_);
    // Its other end is opened once: for raw mode, and so that the system tells who has it open.
    int other = ::open(path.c_str(), O_RDWR | O_NOCTTY);
    if (other < 0) fail("pseudo-terminal " + path + " cannot be opened");
    termios settings;
    tcgetattr(other, &settings);
    cfmakeraw(&settings);
    tcsetattr(other, TCSANOW, &settings);
    close(other);
    set_nonblocking(in_);
    if (!link.empty()) {
        char target[4096];
        ssize_t count = readlink(link.c_str(), target, sizeof target - 1);
        // A link that a simulation left, whose terminal is gone or another's, is replaced.
        if (count > 0 && !strncmp(target, "/dev/", 5)) unlink(link.c_str());
        if (symlink(path.c_str(), link.c_str())) fail("link " + link + " cannot be made");
        link_ = link;
    }
    return path;
}

void Port::use_stdio() {
    in_ = STDIN_FILENO;
    out_ = STDOUT_FILENO;
    set_nonblocking(in_);
    set_nonblocking(out_);
}

bool Port::open() const {
    if (!terminal_) return true;
    pollfd state{in_, POLLIN, 0};
    poll(&state, 1, 0);
    return !(state.revents & POLLHUP);
}

size_t Port::read(char *bytes, size_t most) {
    if (ended_) return 0;
    ssize_t count = ::read(in_, bytes, most);
    if (count == 0 && !terminal_) ended_ = true;
    return count > 0 ? count : 0;
}

void Port::write(std::string &text) {
    if (text.empty()) return;
    if (!open()) {
        text.clear();
        return;
    }
    ssize_t count = ::write(out_, text.data(), text.size());
    if (count > 0) text.erase(0, count);
    if (count < 0 && errno != EAGAIN && errno != EINTR) text.clear();  // closed in between
}

Control::~Control() {
    if (client_ >= 0) close(client_);
    if (listener_ >= 0) {
        close(listener_);
        unlink(path_.c_str());
    }
}

void Control::listen(const std::string &path, Handler handler) {
    handler_ = std::move(handler);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        throw std::runtime_error("control socket " + path + ": the path is too long");
    strcpy(address.sun_path, path.c_str());
    listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener_ < 0 || bind(listener_, reinterpret_cast<sockaddr *>(&address), sizeof address) ||
        ::listen(listener_, 4)) {
        int error = errno;
        if (listener_ >= 0) close(listener_);
        listener_ = -1;
        errno = error;
        fail("control socket " + path + " cannot be made");
    }
    path_ = path;
    set_nonblocking(listener_);
}

void Control::serve() {
    if (listener_ < 0) return;
    if (client_ < 0) {
        client_ = accept(listener_, nullptr, nullptr);
        if (client_ < 0) return;
        set_nonblocking(client_);
        pending_.clear();
    }
    char bytes[1024];
    ssize_t count = ::read(client_, bytes, sizeof bytes);
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) {
        close(client_);
        client_ = -1;
        return;
    }
    if (count > 0) pending_.append(bytes, count);
    size_t end;
    while ((end = pending_.find('\n')) != std::string::npos) {
        std::string answer = handler_(pending_.substr(0, end)) + "\n";
        pending_.erase(0, end + 1);
        // Answers are short, and a client waits for each.
        if (send(client_, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) break;
    }
}
