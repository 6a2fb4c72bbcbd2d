// SPDX-License-Identifier: Apache-2.0
// Owns the fuzz target of unpacking and decoding blocks: every back end gives the same verdict and
// values, and what is accepted packs and encodes to the same input.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/pack/detail/emulation.hpp"
#include "kernels/pack/pack.hpp"

namespace {

using namespace millrace;
using namespace millrace::kernels;

/// An input: what to do, how many blocks, count and width of each, and the packed bytes.
struct Input {
    WidthRule rule = WidthRule::any;
    ValueCode code = ValueCode::offset;
    std::vector<uint32_t> counts;
    std::vector<uint8_t> widths;
    ByteView packed;

    explicit Input(ByteView bytes) {
        const auto take = [&]() -> uint8_t {
            if (bytes.empty()) { return 0; }
            const uint8_t byte = bytes[0];
            bytes = bytes.subspan(1);
            return byte;
        };
        const uint8_t what = take();
        rule = what % 2 == 0 ? WidthRule::any : WidthRule::least;
        code = static_cast<ValueCode>(what / 2 % 4);
        for (size_t blocks = take() % 16; blocks != 0; --blocks) {
            // Counts beyond a tile are reached by the upper half.
            const uint32_t count = take();
            counts.push_back(count < 128 ? count : (count - 128) * 9);
            widths.push_back(take());
        }
        packed = bytes;
    }
};

template <class T>
void check_codes(const Input& input, const std::vector<T>& coded) {
    const std::vector<T> bases(input.counts.size(), coded.empty() ? T{3} : coded[0]);
    std::vector<T> scalar(coded.size());
    std::vector<T> simd(coded.size());
    std::vector<T> emulated(coded.size());
    std::vector<uint32_t> refused(input.counts.size());
    const auto decode = [&](Backend backend, std::vector<T>& values) {
        return decode_blocks<T>(backend, input.code, coded, input.counts, bases, values)
            .has_value();
    };
    const bool accepted = decode(Backend::scalar, scalar);
    MILLRACE_ASSERT(accepted == decode(Backend::simd, simd), "one verdict on a coded form");
    kernels::detail::PackEmulation<T>({.counts = input.counts, .values = coded, .bases = bases})
        .decode(static_cast<kernels::detail::CodeKind>(input.code), emulated, refused);
    MILLRACE_ASSERT(accepted == std::ranges::all_of(refused, [](uint32_t r) { return r == 0; }),
                    "the device's code has the same verdict");
    MILLRACE_ASSERT(accepted || input.code == ValueCode::gap, "other codes take all coded forms");
    if (!accepted) { return; }
    MILLRACE_ASSERT(scalar == simd && scalar == emulated, "one meaning of a coded form");
    for (const Backend backend : {Backend::scalar, Backend::simd}) {
        std::vector<T> again(coded.size());
        const auto done = encode_blocks<T>(backend, input.code, scalar, input.counts, bases, again);
        MILLRACE_ASSERT(done.has_value() && again == coded, "values have one coded form");
    }
}

template <class T>
void check(const Input& input) {
    size_t count = 0;
    for (const uint32_t c : input.counts) { count += c; }
    std::vector<T> scalar(count);
    std::vector<T> simd(count);
    const auto unpack = [&](Backend backend, std::vector<T>& values) {
        return unpack_blocks<T>(backend, input.packed, input.counts, input.widths, input.rule,
                                values)
            .has_value();
    };
    const bool accepted = unpack(Backend::scalar, scalar);
    MILLRACE_ASSERT(accepted == unpack(Backend::simd, simd), "one verdict on packed blocks");
    if (!accepted) { return; }
    MILLRACE_ASSERT(scalar == simd, "one meaning of packed blocks");
    for (const Backend backend : {Backend::scalar, Backend::simd}) {
        Bytes again(input.packed.size());
        const auto done = pack_blocks<T>(backend, scalar, input.counts, input.widths, again);
        MILLRACE_ASSERT(done.has_value() && std::ranges::equal(again, input.packed),
                        "what is accepted is canonical");
        std::vector<uint8_t> least(input.counts.size());
        MILLRACE_ASSERT(block_widths<T>(backend, scalar, input.counts, least).has_value(),
                        "values have a width");
        MILLRACE_ASSERT(input.rule == WidthRule::any || least == input.widths,
                        "the rule asks for the least width");
    }
    check_codes<T>(input, scalar);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const Input input{ByteView{data, size}};
    check<uint32_t>(input);
    check<uint64_t>(input);
    return 0;
}
