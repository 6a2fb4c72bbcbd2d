// SPDX-License-Identifier: Apache-2.0
// Owns the oracles of SHA256, RIPEMD160, IDENTITY and BLAKE2F.
#include <cstring>

#include "tests/evm/precompiles/oracles/oracles.hpp"
#include "tests/evm/precompiles/oracles/reference_hashes.hpp"

namespace millrace::evm::oracles {

namespace {

/// Lengths around the ends of blocks and words more often than others.
Bytes draw_message(Choices& choices) {
    const size_t size =
        choices.one_in(2) ? choices.below(6) * 32 + choices.below(12) : choices.below(1200);
    if (choices.one_in(8)) { return Bytes(size, static_cast<uint8_t>(choices.below(256))); }
    return draw_bytes(choices, size);
}

uint64_t word_price(uint64_t base, uint64_t per_word, size_t size) {
    return base + per_word * (size / 32 + (size % 32 == 0 ? 0 : 1));
}

}  // namespace

void sha256(Choices& choices, Findings& findings) {
    const Revision revision = draw_revision(choices, Revision::frontier);
    const Bytes message = draw_message(choices);
    findings.compare(0x02, message, revision,
                     {true, word_price(60, 12, message.size()), reference_sha256(message)});
}

void ripemd160(Choices& choices, Findings& findings) {
    const Revision revision = draw_revision(choices, Revision::frontier);
    const Bytes message = draw_message(choices);
    findings.compare(0x03, message, revision,
                     {true, word_price(600, 120, message.size()),
                      join(Bytes(12), reference_ripemd160(message))});
}

void identity(Choices& choices, Findings& findings) {
    const Revision revision = draw_revision(choices, Revision::frontier);
    const Bytes message = draw_message(choices);
    findings.compare(0x04, message, revision, {true, word_price(15, 3, message.size()), message});
}

void blake2f(Choices& choices, Findings& findings) {
    const Revision revision = draw_revision(choices, Revision::istanbul);
    // A number of rounds that nobody pays for must cost nothing but the answer.
    const bool unpaid = choices.one_in(16);
    const uint32_t rounds = unpaid ? static_cast<uint32_t>(0xffffffff - choices.below(1000))
                                   : static_cast<uint32_t>(choices.below(300));
    Bytes input = draw_bytes(choices, 213);
    for (unsigned i = 0; i < 4; ++i) { input[i] = static_cast<uint8_t>(rounds >> (24 - 8 * i)); }
    input[212] = static_cast<uint8_t>(choices.one_in(6) ? choices.below(256) : choices.below(2));
    if (choices.one_in(8)) { input.resize(input.size() + 2 - choices.below(5), 1); }
    if (input.size() != 213 || input[212] > 1) {
        findings.compare(0x09, input, revision, {});
        return;
    }
    const auto counter = [&input](size_t at) {
        uint64_t v = 0;
        std::memcpy(&v, input.data() + at, sizeof v);
        return v;
    };
    constexpr uint64_t gas = 1'000'000;
    Answer expected{true, rounds, {}};
    if (!unpaid) {
        expected.output =
            reference_blake2b_compress(rounds, part(input, 4, 64), part(input, 68, 128),
                                       counter(196), counter(204), input[212] == 1);
    }
    findings.compare(0x09, input, revision, expected, gas);
}

}  // namespace millrace::evm::oracles
