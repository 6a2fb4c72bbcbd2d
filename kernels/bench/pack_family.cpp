// SPDX-License-Identifier: Apache-2.0
// Owns the measurement of packing integers: bits, differences and histograms, in blocks of 1,024.
#include <algorithm>
#include <bit>
#include <random>

#include "kernels/bench/ceilings.hpp"
#include "kernels/bench/registry.hpp"
#include "kernels/pack/pack.hpp"

namespace millrace::kernel_bench {

namespace {

using kernels::Backend;
using kernels::ByteHistogram;
using kernels::ValueCode;
using kernels::WidthHistogram;
using kernels::WidthRule;

constexpr Backend backends[] = {Backend::scalar, Backend::simd, Backend::cuda};

/// Values of a block; the last one of a batch has what is left.
constexpr size_t block_values = 1024;
constexpr size_t blocks_of(size_t batch) { return (batch + block_values - 1) / block_values; }

enum class Operation : uint8_t { pack, unpack, encode, decode, width_histogram };

/// Values as the operation likes to have them: below 2^width for bits, else a walk in small steps.
template <class T>
std::vector<T> make_values(Operation operation, unsigned width, size_t count, uint64_t seed) {
    std::mt19937_64 random(seed);
    const bool walk = operation == Operation::encode || operation == Operation::decode;
    std::vector<T> values(count);
    T place = static_cast<T>(random());
    for (T& value : values) {
        place += static_cast<T>(random() % 1001) - 500;
        value = walk ? place : static_cast<T>(random() & ((uint64_t{1} << width) - 1));
    }
    return values;
}

/// The oracle of packing: bit by bit, by the format's definition.
template <class T>
void pack_by_bits(std::span<const T> values, unsigned width, uint8_t* packed) {
    for (size_t i = 0; i < values.size(); ++i) {
        for (unsigned k = 0; k < width; ++k) {
            const size_t bit = i * width + k;
            packed[bit / 8] |= static_cast<uint8_t>((values[i] >> k & 1) << bit % 8);
        }
    }
}

/// The oracle of the zigzag code of differences, by its definition.
template <class T>
void encode_by_steps(std::span<const T> values, T* coded) {
    T before = 0;
    for (size_t i = 0; i < values.size(); ++i) {
        const T step = values[i] - before;
        const bool negative = (step >> (8 * sizeof(T) - 1)) != 0;
        coded[i] =
            negative ? static_cast<T>(2 * static_cast<T>(~step) + 1) : static_cast<T>(2 * step);
        before = values[i];
    }
}

/// Says where two sequences of equal length differ.
template <class Sequence>
std::string first_difference(const char* what, const Sequence& got, const Sequence& want) {
    const auto [g, w] = std::ranges::mismatch(got, want);
    if (g == got.end()) { return {}; }
    return std::string(what) + " " + std::to_string(g - got.begin()) + " of " +
           std::to_string(got.size()) + " differs from the definition's";
}

template <class T>
class PackWorkload final : public Workload {
public:
    PackWorkload(Operation operation, unsigned width, size_t batch, uint64_t seed)
        : operation_(operation),
          width_(width),
          values_(make_values<T>(operation, width, batch, seed)),
          counts_(blocks_of(batch)) {
        for (size_t b = 0; b < counts_.size(); ++b) {
            counts_[b] = static_cast<uint32_t>(values_of(b).size());
        }
        switch (operation) {
            case Operation::pack:
            case Operation::unpack:
                widths_.assign(counts_.size(), static_cast<uint8_t>(width));
                packed_.resize(packed_end(counts_.size()));
                for (size_t b = 0; b < counts_.size(); ++b) {
                    pack_by_bits<T>(values_of(b), width, packed_.data() + packed_end(b));
                }
                break;
            case Operation::encode:
            case Operation::decode:
                coded_.resize(batch);
                for (size_t b = 0; b < counts_.size(); ++b) {
                    encode_by_steps<T>(values_of(b), coded_.data() + b * block_values);
                }
                break;
            case Operation::width_histogram:
                histograms_.resize(counts_.size());
                for (size_t b = 0; b < counts_.size(); ++b) {
                    for (const T value : values_of(b)) {
                        ++histograms_[b][static_cast<size_t>(std::bit_width(value))];
                    }
                }
                break;
        }
        out_values_.resize(operation == Operation::pack ? 0 : batch);
        out_packed_.resize(packed_.size());
        out_histograms_.resize(histograms_.size());
    }

    /// No answer here is all ones.
    void forget() override {
        std::ranges::fill(out_values_, static_cast<T>(~T{0}));
        std::ranges::fill(out_packed_, uint8_t{0xff});
        for (WidthHistogram& histogram : out_histograms_) { histogram.fill(~uint32_t{0}); }
    }

    Result<void> run(size_t id, size_t part, size_t parts) override {
        const auto backend = static_cast<Backend>(id);
        const Slice blocks = slice_of(counts_.size(), part, parts);
        const size_t first = blocks.first * block_values;
        const size_t count =
            std::min(values_.size(), blocks.end * block_values) - std::min(values_.size(), first);
        if (count == 0) { return {}; }
        const auto counts =
            std::span<const uint32_t>(counts_).subspan(blocks.first, blocks.count());
        const auto in = std::span<const T>(values_).subspan(first, count);
        const size_t packed_first = packed_end(blocks.first);
        const size_t packed_count = packed_end(blocks.end) - packed_first;
        switch (operation_) {
            case Operation::pack:
                return kernels::pack_blocks<T>(
                    backend, in, counts, widths(blocks),
                    std::span(out_packed_).subspan(packed_first, packed_count));
            case Operation::unpack:
                return kernels::unpack_blocks<T>(
                    backend, ByteView(packed_).subspan(packed_first, packed_count), counts,
                    widths(blocks), WidthRule::any, out(first, count));
            case Operation::encode:
                return kernels::encode_blocks<T>(backend, ValueCode::zigzag_delta, in, counts, {},
                                                 out(first, count));
            case Operation::decode:
                return kernels::decode_blocks<T>(backend, ValueCode::zigzag_delta,
                                                 std::span<const T>(coded_).subspan(first, count),
                                                 counts, {}, out(first, count));
            case Operation::width_histogram:
                return kernels::width_histograms<T>(
                    backend, in, counts,
                    std::span(out_histograms_).subspan(blocks.first, blocks.count()));
        }
        return fail(ErrorCode::invalid_input, "no such operation");
    }

    std::string compare() override {
        switch (operation_) {
            case Operation::pack: return first_difference("byte", out_packed_, packed_);
            case Operation::encode: return first_difference("coded value", out_values_, coded_);
            case Operation::unpack:
            case Operation::decode: return first_difference("value", out_values_, values_);
            case Operation::width_histogram:
                return first_difference("histogram", out_histograms_, histograms_);
        }
        return "no such operation";
    }

private:
    std::span<const T> values_of(size_t block) const {
        const size_t first = block * block_values;
        return std::span<const T>(values_).subspan(first,
                                                   std::min(block_values, values_.size() - first));
    }
    /// Where block `block` begins in the packed form, or the last one ends.
    size_t packed_end(size_t block) const {
        const size_t full = kernels::packed_bytes(block_values, width_);
        if (block < counts_.size() || values_.size() % block_values == 0) { return block * full; }
        return (block - 1) * full + kernels::packed_bytes(values_.size() % block_values, width_);
    }
    std::span<const uint8_t> widths(const Slice& blocks) const {
        return std::span<const uint8_t>(widths_).subspan(blocks.first, blocks.count());
    }
    std::span<T> out(size_t first, size_t count) {
        return std::span(out_values_).subspan(first, count);
    }

    Operation operation_;
    unsigned width_;
    std::vector<T> values_;
    std::vector<uint32_t> counts_;
    std::vector<uint8_t> widths_;
    Bytes packed_;
    std::vector<T> coded_;
    std::vector<WidthHistogram> histograms_;
    Bytes out_packed_;
    std::vector<T> out_values_;
    std::vector<WidthHistogram> out_histograms_;
};

class ByteHistogramWorkload final : public Workload {
public:
    ByteHistogramWorkload(size_t batch, uint64_t seed)
        : counts_(blocks_of(batch)), expected_(counts_.size()), histograms_(counts_.size()) {
        const std::vector<uint32_t> values =
            make_values<uint32_t>(Operation::width_histogram, 8, batch, seed);
        bytes_.assign(values.begin(), values.end());
        for (size_t i = 0; i < batch; ++i) {
            ++counts_[i / block_values];
            ++expected_[i / block_values][bytes_[i]];
        }
    }

    void forget() override {
        for (ByteHistogram& histogram : histograms_) { histogram.fill(~uint32_t{0}); }
    }

    Result<void> run(size_t id, size_t part, size_t parts) override {
        const Slice blocks = slice_of(counts_.size(), part, parts);
        const size_t first = std::min(bytes_.size(), blocks.first * block_values);
        const size_t end = std::min(bytes_.size(), blocks.end * block_values);
        if (first == end) { return {}; }
        return kernels::byte_histograms(
            static_cast<Backend>(id), ByteView(bytes_).subspan(first, end - first),
            std::span<const uint32_t>(counts_).subspan(blocks.first, blocks.count()),
            std::span(histograms_).subspan(blocks.first, blocks.count()));
    }

    std::string compare() override { return first_difference("histogram", histograms_, expected_); }

private:
    Bytes bytes_;
    std::vector<uint32_t> counts_;
    std::vector<ByteHistogram> expected_;
    std::vector<ByteHistogram> histograms_;
};

using Prepare = std::function<std::unique_ptr<Workload>(size_t batch, uint64_t seed)>;

KernelCase pack_case(std::string kernel, std::string shape, size_t bytes_per_item,
                     Prepare prepare) {
    KernelCase c;
    c.kernel = std::move(kernel);
    c.shape = std::move(shape);
    c.item = "value";
    c.bytes_per_item = bytes_per_item;
    for (const Backend backend : backends) {
        Contender contender = contender_of(kernels::pack_backend_status(backend));
        if (contender.on_device) {
            contender.no_kernel_time = "the call's kernels are not timed apart from its copies";
            contender.ceilings = bus_ceilings(bytes_per_item, contender);
        }
        c.contenders.push_back(std::move(contender));
    }
    // Input, the oracle's answer and ours; a block of histograms is about as large as its values.
    c.memory_bytes = [](size_t batch) {
        return 4 * blocks_of(batch) * block_values * sizeof(uint64_t);
    };
    c.prepare = std::move(prepare);
    return c;
}

template <class T>
KernelCase value_case(const char* kernel, Operation operation, unsigned width) {
    const bool bits = operation == Operation::pack || operation == Operation::unpack;
    const std::string type = sizeof(T) == 4 ? "u32" : "u64";
    return pack_case(kernel, bits ? type + ", " + std::to_string(width) + " bits" : type, sizeof(T),
                     [operation, width](size_t batch, uint64_t seed) {
                         return std::make_unique<PackWorkload<T>>(operation, width, batch, seed);
                     });
}

}  // namespace

Family pack_family() {
    Family family;
    family.name = "pack";
    family.summary = "integers to bits and back, differences, histograms";
    for (const Backend backend : backends) {
        family.backends.emplace_back(kernels::to_string(backend));
    }
    family.cases = [](const FamilyOptions&) {
        return std::vector<KernelCase>{
            value_case<uint32_t>("pack", Operation::pack, 12),
            value_case<uint64_t>("pack", Operation::pack, 20),
            value_case<uint32_t>("unpack", Operation::unpack, 12),
            value_case<uint64_t>("unpack", Operation::unpack, 20),
            value_case<uint64_t>("zigzag delta", Operation::encode, 0),
            value_case<uint64_t>("zigzag delta back", Operation::decode, 0),
            value_case<uint64_t>("width histogram", Operation::width_histogram, 40),
            pack_case("byte histogram", "bytes", 1,
                      [](size_t batch, uint64_t seed) {
                          return std::make_unique<ByteHistogramWorkload>(batch, seed);
                      }),
        };
    };
    return family;
}

}  // namespace millrace::kernel_bench
