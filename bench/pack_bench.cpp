// SPDX-License-Identifier: Apache-2.0
// Owns the timing of packing: every call, width and CPU back end, checked before it is timed.
#include <benchmark/benchmark.h>
#include <hwy/targets.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/pack/pack.hpp"

namespace millrace::bench {
namespace {

using namespace kernels;

/// Values of a batch: 128 KiB or 256 KiB, which fit the second-level cache with what is made of
/// them.
constexpr size_t batch_values = 32768;

/// Blocks of one length and what each call makes of them, by the scalar back end.
template <class T>
struct Batch {
    std::vector<uint32_t> counts;
    std::vector<uint8_t> widths;
    std::vector<T> bases;
    std::vector<T> coded;   ///< of the width
    std::vector<T> values;  ///< whose zigzag deltas are `coded`
    std::vector<T> sorted;  ///< whose gaps are `coded`, where its width leaves room
    Bytes packed;
    std::vector<WidthHistogram> width_counts;
    std::vector<ByteHistogram> byte_counts;
    std::vector<uint32_t> byte_blocks;

    Batch(size_t block, unsigned width)
        : counts(batch_values / block, static_cast<uint32_t>(block)),
          widths(counts.size(), static_cast<uint8_t>(width)),
          bases(counts.size()),
          coded(counts.size() * block),
          values(coded.size()),
          sorted(coded.size()),
          packed(counts.size() * packed_bytes(block, width)),
          width_counts(counts.size()),
          byte_counts(counts.size()),
          byte_blocks(counts.size(), static_cast<uint32_t>(packed_bytes(block, width))) {
        std::mt19937_64 random(width);
        for (T& base : bases) { base = static_cast<T>(random() % 1000); }
        for (T& value : coded) { value = static_cast<T>(random() >> (64 - width)); }
        made_ = pack_blocks<T>(Backend::scalar, coded, counts, widths, packed) &&
                decode_blocks<T>(Backend::scalar, ValueCode::zigzag_delta, coded, counts, bases,
                                 values) &&
                width_histograms<T>(Backend::scalar, coded, counts, width_counts) &&
                byte_histograms(Backend::scalar, packed, byte_blocks, byte_counts);
        sums_ = decode_blocks<T>(Backend::scalar, ValueCode::gap, coded, counts, bases, sorted)
                    .has_value();
    }
    bool made() const { return made_; }
    bool has_gaps() const { return sums_; }

private:
    bool made_ = false;
    bool sums_ = false;
};

/// Times `call`, which gives a Result, if `right` holds after it.
void time_call(benchmark::State& state, size_t items, const std::function<Result<void>()>& call,
               const std::function<bool()>& right) {
    const Result<void> first = call();
    if (!first.has_value() || !right()) {
        state.SkipWithError(first.has_value() ? "wrong answer" : first.error().message.c_str());
        return;
    }
    for (auto _ : state) {
        const Result<void> again = call();
        benchmark::DoNotOptimize(again.has_value());
        benchmark::ClobberMemory();
    }
    state.counters["values_per_second"] = benchmark::Counter(
        static_cast<double>(state.iterations() * items), benchmark::Counter::kIsRate);
}

/// The calls on a batch, by name. What they write is shared by all iterations.
template <class T>
void time_operation(benchmark::State& state, const std::string& operation, Backend backend,
                    size_t block, unsigned width) {
    const Batch<T> batch(block, width);
    if (!batch.made()) {
        state.SkipWithError("the batch cannot be made");
        return;
    }
    std::vector<T> out(batch.coded.size());
    const size_t items = out.size();
    const auto transform = [&](auto call, ValueCode code, const std::vector<T>& from,
                               const std::vector<T>& expected) {
        time_call(
            state, items, [&] { return call(backend, code, from, batch.counts, batch.bases, out); },
            [&] { return out == expected; });
    };
    if (operation == "pack") {
        Bytes packed(batch.packed.size());
        time_call(
            state, items,
            [&] {
                return pack_blocks<T>(backend, batch.coded, batch.counts, batch.widths, packed);
            },
            [&] { return packed == batch.packed; });
    } else if (operation == "unpack") {
        time_call(
            state, items,
            [&] {
                return unpack_blocks<T>(backend, batch.packed, batch.counts, batch.widths,
                                        WidthRule::least, out);
            },
            [&] { return out == batch.coded; });
    } else if (operation == "encode_zigzag") {
        transform(encode_blocks<T>, ValueCode::zigzag_delta, batch.values, batch.coded);
    } else if (operation == "decode_zigzag") {
        transform(decode_blocks<T>, ValueCode::zigzag_delta, batch.coded, batch.values);
    } else if (operation == "encode_gap" || operation == "decode_gap") {
        if (!batch.has_gaps()) {
            state.SkipWithError("the gaps leave the type");
        } else if (operation == "encode_gap") {
            transform(encode_blocks<T>, ValueCode::gap, batch.sorted, batch.coded);
        } else {
            transform(decode_blocks<T>, ValueCode::gap, batch.coded, batch.sorted);
        }
    } else if (operation == "widths") {
        std::vector<uint8_t> widths(batch.counts.size());
        time_call(
            state, items,
            [&] { return block_widths<T>(backend, batch.coded, batch.counts, widths); },
            [&] { return std::ranges::all_of(widths, [&](uint8_t w) { return w <= width; }); });
    } else if (operation == "width_histogram") {
        std::vector<WidthHistogram> histograms(batch.counts.size());
        time_call(
            state, items,
            [&] { return width_histograms<T>(backend, batch.coded, batch.counts, histograms); },
            [&] { return histograms == batch.width_counts; });
    } else if (operation == "byte_histogram") {
        std::vector<ByteHistogram> histograms(batch.counts.size());
        time_call(
            state, batch.packed.size(),
            [&] { return byte_histograms(backend, batch.packed, batch.byte_blocks, histograms); },
            [&] { return histograms == batch.byte_counts; });
    } else {
        state.SkipWithError("no such operation");
    }
}

/// The scalar back end, and each vector target that this CPU has.
std::vector<std::pair<std::string, int64_t>> setups() {
    std::vector<std::pair<std::string, int64_t>> found{{"scalar", 0}};
    for (int64_t left = hwy::SupportedTargets(); left != 0; left &= left - 1) {
        const int64_t target = left & -left;
        hwy::SetSupportedTargetsForTest(target);
        hwy::GetChosenTarget().Update(hwy::SupportedTargets());
        if (pack_backend_status(Backend::simd).target == hwy::TargetName(target)) {
            found.emplace_back(std::string("simd ") + hwy::TargetName(target), target);
        }
        hwy::SetSupportedTargetsForTest(0);
    }
    return found;
}

template <class T>
void register_operation(const std::string& operation, size_t block, unsigned width) {
    for (const auto& [name, target] : setups()) {
        const std::string row = operation + "/u" + std::to_string(8 * sizeof(T)) + "/" +
                                std::to_string(width) + "_bits/block_" + std::to_string(block) +
                                "/" + name;
        benchmark::RegisterBenchmark(
            row.c_str(), [operation, block, width, forced = target](benchmark::State& state) {
                hwy::SetSupportedTargetsForTest(forced);
                hwy::GetChosenTarget().Update(hwy::SupportedTargets());
                time_operation<T>(state, operation, forced == 0 ? Backend::scalar : Backend::simd,
                                  block, width);
                hwy::SetSupportedTargetsForTest(0);
                hwy::GetChosenTarget().Update(hwy::SupportedTargets());
            });
    }
}

template <class T>
void register_all(std::initializer_list<unsigned> widths) {
    for (const size_t block : {size_t{128}, size_t{4096}}) {
        for (const char* const operation : {"pack", "unpack"}) {
            for (const unsigned width : widths) { register_operation<T>(operation, block, width); }
        }
        for (const char* const operation :
             {"encode_zigzag", "decode_zigzag", "encode_gap", "decode_gap", "widths",
              "width_histogram", "byte_histogram"}) {
            register_operation<T>(operation, block, 11);
        }
    }
}

}  // namespace
}  // namespace millrace::bench

int main(int argc, char** argv) {
    millrace::bench::register_all<uint32_t>({3, 11, 20, 29});
    millrace::bench::register_all<uint64_t>({3, 11, 20, 40, 60});
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) { return 2; }
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
