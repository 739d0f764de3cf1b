// The program's options, as `sim.board` hands them over: each is --name=value or --name.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>

class Options {
  public:
    Options(int count, char **words) {
        for (int i = 1; i < count; ++i) {
            std::string word = words[i];
            size_t sign = word.find('=');
            if (word.compare(0, 2, "--")) throw std::runtime_error("unknown word " + word);
            values_[word.substr(2, sign - 2)] =
                sign == std::string::npos ? "" : word.substr(sign + 1);
        }
    }

    bool has(const std::string &name) const { return values_.count(name); }

    std::string text(const std::string &name, const std::string &otherwise = "") const {
        auto found = values_.find(name);
        return found == values_.end() ? otherwise : found->second;
    }

    double number(const std::string &name, double otherwise) const {
        if (!has(name)) return otherwise;
        char *end;
        std::string value = text(name);
        double result = strtod(value.c_str(), &end);
        if (value.empty() || *end) throw std::runtime_error("--" + name + " needs a number");
        return result;
    }

  private:
    std::map<std::string, std::string> values_;
};
