// Drives the model of the flash by its pins: what `tests/sim/test_board_flash.py` asks for.
//
// Arguments: clock in Hz, busy times in ns for a page and a sector, steps until power fails (-1:
// never), file of the content. Standard input: pins (/CS 1, CLK 2, DI 4) as a digit for each
// cycle; "." repeats the last for a million cycles, "!" switches power off and on. Output: DO
// for each digit, then a line for each violation. The content is written back.

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "flash.h"

int main(int, char **words) {
    std::vector<std::string> violations;
    Flash flash(
        atof(words[1]), {atof(words[2]), atof(words[3])},
        [&](uint64_t cycle, const std::string &what) {
            violations.push_back(std::to_string(cycle) + " " + what);
        },
        [](uint32_t, uint32_t) {});
    std::ifstream in(words[5], std::ios::binary);
    in.read(reinterpret_cast<char *>(flash.content.data()), Flash::size);
    std::streamsize size = in.gcount();
    flash.power_on(0);
    flash.cut_after(atoll(words[4]));
    uint64_t now = 1000;
    unsigned last = 1;
    std::string out;
    for (char one; std::cin.get(one);) {
        if (one == '.') {
            now += 1000000;
        } else if (one == '!') {
            flash.power_off(now);
            flash.power_on(now);
            last = 1;
        } else if (one >= '0' && one <= '7') {
            unsigned pins = one - '0';
            if (pins != last) flash.change(now, pins);
            last = pins;
            out += flash.cipo() ? '1' : '0';
            ++now;
        }
    }
    std::cout << out << "\n" << flash.powered() << "\n";
    for (const std::string &one : violations) std::cout << one << "\n";
    std::ofstream(words[5], std::ios::binary)
        .write(reinterpret_cast<char *>(flash.content.data()), size);
}
