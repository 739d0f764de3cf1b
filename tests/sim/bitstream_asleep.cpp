// Says of each file of a flash's content, 1 or 0 a line, whether its bitstream leaves it asleep.

#include <cstdio>
#include <fstream>
#include <iterator>
#include <vector>

#include "bitstream.h"

int main(int count, char **words) {
    for (int i = 1; i < count; ++i) {
        std::ifstream in(words[i], std::ios::binary);
        std::vector<uint8_t> content((std::istreambuf_iterator<char>(in)), {});
        printf("%d\n", leaves_flash_asleep(content));
    }
}
