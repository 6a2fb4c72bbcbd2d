// SPDX-License-Identifier: Apache-2.0
// Owns the names of forks.
#include "evm/core/revision.hpp"

#include <array>

namespace millrace::evm {
namespace {

constexpr std::array<std::string_view, revision_count> names = {
    "Frontier",       "Homestead",         "EIP150",   "EIP158", "Byzantium",
    "Constantinople", "ConstantinopleFix", "Istanbul", "Berlin", "London",
    "Paris",          "Shanghai",          "Cancun",   "Prague", "Osaka"};

struct Alias {
    std::string_view name;
    Revision revision;
};
constexpr Alias aliases[] = {
    {"TangerineWhistle", Revision::tangerine_whistle},
    {"SpuriousDragon", Revision::spurious_dragon},
    {"Petersburg", Revision::petersburg},
    {"Merge", Revision::paris},
    {"Homestead", Revision::homestead},
    {"MuirGlacier", Revision::istanbul},
    {"ArrowGlacier", Revision::london},
    {"GrayGlacier", Revision::london},
    {"BPO1", Revision::osaka},
    {"BPO2", Revision::osaka},
    {"BPO3", Revision::osaka},
    {"BPO4", Revision::osaka},
    {"BPO5", Revision::osaka},
};

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
    if (a.size() != b.size()) { return false; }
    auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    for (size_t i = 0; i < a.size(); ++i) {
        if (lower(a[i]) != lower(b[i])) { return false; }
    }
    return true;
}

}  // namespace

std::string_view to_string(Revision revision) noexcept {
    return names[static_cast<size_t>(revision)];
}

std::optional<Revision> revision_from_text(std::string_view text) noexcept {
    for (size_t i = 0; i < names.size(); ++i) {
        if (equal_ignoring_case(names[i], text)) { return static_cast<Revision>(i); }
    }
    for (const Alias& a : aliases) {
        if (equal_ignoring_case(a.name, text)) { return a.revision; }
    }
    return std::nullopt;
}

}  // namespace millrace::evm
