// SPDX-License-Identifier: Apache-2.0
// Owns the check of packing: one case for encoding and one for decoding.
#include <algorithm>
#include <memory>
#include <random>

#include "kernels/gpu_check/case_list.hpp"
#include "kernels/gpu_check/device.hpp"
#include "kernels/gpu_check/pack_batch.hpp"
#include "kernels/pack/detail/backends.hpp"
#include "kernels/pack/detail/emulation.hpp"

namespace millrace::gpu_check {

namespace {

namespace detail = kernels::detail;
using detail::CodeKind;
using detail::PackEmulation;
using detail::PackJob;

constexpr CodeKind codes[] = {CodeKind::offset, CodeKind::delta, CodeKind::zigzag_delta,
                              CodeKind::gap};

template <class T>
struct Batch {
    std::vector<uint32_t> counts;
    std::vector<uint8_t> widths;
    std::vector<T> bases;
    std::vector<T> values;
    std::vector<uint8_t> packed;

    void add(std::mt19937_64& random, uint32_t count, uint8_t width) {
        counts.push_back(count);
        widths.push_back(width);
        bases.push_back(static_cast<T>(random() % 1000));
        for (uint32_t i = 0; i < count; ++i) {
            values.push_back(width == 0 ? T{0} : static_cast<T>(random() >> (64 - width)));
        }
        packed.resize(packed.size() + (size_t{count} * width + 7) / 8);
    }
    PackJob<T> job() const {
        return {
            .counts = counts, .widths = widths, .values = values, .bases = bases, .packed = packed};
    }
};

/// What a batch gives in every call; the texts say which one differs.
template <class T>
struct Results {
    std::vector<T> any, minima, any_packed, any_unpacked, unpacked;
    std::vector<uint8_t> packed;
    std::vector<std::vector<T>> encoded, decoded;
    std::vector<std::vector<uint32_t>> refused;

    explicit Results(const Batch<T>& batch)
        : any(batch.counts.size()),
          minima(batch.counts.size()),
          any_packed(batch.counts.size()),
          any_unpacked(batch.counts.size()),
          unpacked(batch.values.size()),
          packed(batch.packed.size()),
          encoded(std::size(codes), std::vector<T>(batch.values.size())),
          decoded(encoded),
          refused(2 * std::size(codes), std::vector<uint32_t>(batch.counts.size())) {}

    std::string differ(const Results& other) const {
        if (any != other.any) { return "the or of values"; }
        if (minima != other.minima) { return "the minima"; }
        if (any_packed != other.any_packed) { return "the or of packed values"; }
        if (any_unpacked != other.any_unpacked) { return "the or of unpacked values"; }
        if (unpacked != other.unpacked) { return "the unpacked values"; }
        if (packed != other.packed) { return "the packed bytes"; }
        if (encoded != other.encoded) { return "the coded form"; }
        if (decoded != other.decoded) { return "the decoded values"; }
        if (refused != other.refused) { return "the refusals"; }
        return {};
    }
};

template <class T>
Results<T> on_host(const Batch<T>& batch) {
    const PackEmulation<T> host(batch.job());
    Results<T> r(batch);
    host.any(r.any);
    host.minimum(r.minima);
    host.pack(r.packed, r.any_packed);
    host.unpack(r.unpacked, r.any_unpacked);
    for (size_t c = 0; c < std::size(codes); ++c) {
        host.encode(codes[c], r.encoded[c], r.refused[2 * c]);
        host.decode(codes[c], r.decoded[c], r.refused[2 * c + 1]);
    }
    return r;
}

template <class T>
std::string on_device(const Batch<T>& batch, Results<T>& r) {
    const PackJob<T> job = batch.job();
    std::string fault = detail::any_cuda<T>(job, r.any);
    if (fault.empty()) { fault = detail::minimum_cuda<T>(job, r.minima); }
    if (fault.empty()) { fault = detail::pack_cuda<T>(job, r.packed, r.any_packed); }
    if (fault.empty()) { fault = detail::unpack_cuda<T>(job, r.unpacked, r.any_unpacked); }
    for (size_t c = 0; c < std::size(codes) && fault.empty(); ++c) {
        fault = detail::encode_cuda<T>(job, codes[c], r.encoded[c], r.refused[2 * c]);
        if (!fault.empty()) { break; }
        fault = detail::decode_cuda<T>(job, codes[c], r.decoded[c], r.refused[2 * c + 1]);
    }
    return fault;
}

/// Values are packed first, so that unpacking reads a true form.
template <class T>
void compare(Batch<T>& batch, Outcome& outcome) {
    if (!outcome.fault.empty()) { return; }
    std::vector<T> any(batch.counts.size());
    std::vector<uint8_t> packed(batch.packed.size());
    PackEmulation<T>(batch.job()).pack(packed, any);
    batch.packed = packed;
    const Results<T> expected = on_host(batch);
    Results<T> got(batch);
    outcome.fault = on_device(batch, got);
    if (!outcome.fault.empty()) { return; }
    if (const std::string what = expected.differ(got); !what.empty()) {
        outcome.fault = "the device differs in " + what + " of " +
                        std::to_string(batch.values.size()) + " values of " +
                        std::to_string(8 * sizeof(T)) + " bits";
        return;
    }
    outcome.compared += batch.values.size();
}

template <class T>
void compare_widths(const Effort& effort, Outcome& outcome) {
    std::mt19937_64 random(effort.seed);
    Batch<T> ragged;
    for (unsigned width = 0; width <= 8 * sizeof(T); ++width) {
        for (const uint32_t count : {0u, 1u, 7u, 8u, 31u, 33u, 511u, 512u, 513u, 1025u}) {
            ragged.add(random, count, static_cast<uint8_t>(width));
        }
    }
    compare(ragged, outcome);
    Batch<T> large;
    for (size_t left = effort.compared_items; left != 0;) {
        const auto count = static_cast<uint32_t>(std::min<size_t>(left, random() % 5000));
        large.add(random, count, static_cast<uint8_t>(random() % (8 * sizeof(T) + 1)));
        left -= count;
    }
    compare(large, outcome);
}

/// Sorted sets, for whose gaps `gap` is there; some end at the last integer, and some are none.
template <class T>
Batch<T> sorted_sets(size_t values, uint64_t seed) {
    std::mt19937_64 random(seed);
    Batch<T> sets;
    for (size_t left = values; left != 0;) {
        const auto count = static_cast<uint32_t>(std::min<size_t>(left, random() % 5000));
        left -= count;
        sets.add(random, count, 8 * sizeof(T));
        const uint64_t gap_max = 1 + random() % 5000;
        const auto block = std::span(sets.values).last(count);
        T at = sets.bases.back();
        for (T& value : block) {
            at = static_cast<T>(at + random() % gap_max);
            value = at++;
        }
        if (count < 2) { continue; }
        switch (random() % 8) {
            case 0: block.back() = static_cast<T>(~T{0}); break;
            case 1: block[count / 2] = block[count / 2 - 1]; break;
            case 2: block[0] = static_cast<T>(sets.bases.back() - 1); break;
            default: break;
        }
    }
    return sets;
}

/// The gaps of sets, by the device's code on the host.
template <class T>
struct Gaps {
    Batch<T> coded;
    std::vector<uint32_t> refused;  ///< by block: not a sorted set

    explicit Gaps(const Batch<T>& sets) : coded(sets), refused(sets.counts.size()) {
        PackEmulation<T>(sets.job()).encode(CodeKind::gap, coded.values, refused);
    }
    /// What differs between the sets and what a decoder made of their gaps.
    std::string differ(const Batch<T>& sets, const std::vector<T>& decoded,
                       const std::vector<uint32_t>& refused_gaps) const {
        size_t at = 0;
        for (size_t b = 0; b < sets.counts.size(); at += sets.counts[b++]) {
            if (refused[b] != 0) { continue; }
            const auto first = sets.values.begin() + static_cast<ptrdiff_t>(at);
            if (refused_gaps[b] != 0 || !std::equal(first, first + sets.counts[b],
                                                    decoded.begin() + static_cast<ptrdiff_t>(at))) {
                return "decodes the gaps of block " + std::to_string(b) + " to another set";
            }
        }
        return {};
    }
};

template <class T>
std::string check_gaps() {
    const Batch<T> sets = sorted_sets<T>(20'000, 1);
    const Gaps<T> gaps(sets);
    const auto sorted = std::ranges::count(gaps.refused, 0u);
    if (sorted == 0 || sorted == std::ssize(gaps.refused)) { return "refuses none or all sets"; }
    std::vector<T> decoded(sets.values.size());
    std::vector<uint32_t> refused(sets.counts.size());
    PackEmulation<T>(gaps.coded.job()).decode(CodeKind::gap, decoded, refused);
    return gaps.differ(sets, decoded, refused);
}

template <class T>
void compare_gaps(const Effort& effort, Outcome& outcome) {
    Batch<T> sets = sorted_sets<T>(effort.compared_items, effort.seed + 2);
    Gaps<T> gaps(sets);
    compare(sets, outcome);
    compare(gaps.coded, outcome);
    if (!outcome.fault.empty()) { return; }
    std::vector<T> decoded(sets.values.size());
    std::vector<uint32_t> refused(sets.counts.size());
    outcome.fault = detail::decode_cuda<T>(gaps.coded.job(), CodeKind::gap, decoded, refused);
    if (!outcome.fault.empty()) { return; }
    outcome.fault = gaps.differ(sets, decoded, refused);
    if (!outcome.fault.empty()) { outcome.fault = "the device " + outcome.fault; }
    outcome.compared += decoded.size();
}

template <class T>
void compare_histograms(const Effort& effort, Outcome& outcome) {
    if (!outcome.fault.empty()) { return; }
    std::mt19937_64 random(effort.seed + 1);
    std::vector<uint32_t> counts;
    std::vector<T> values;
    std::vector<uint8_t> bytes;
    std::vector<uint32_t> expected;
    std::vector<uint32_t> expected_bytes;
    for (size_t left = effort.compared_items; left != 0;) {
        const auto count = static_cast<uint32_t>(std::min<size_t>(left, random() % 9000));
        counts.push_back(count);
        left -= count;
        expected.resize(expected.size() + detail::width_counters);
        expected_bytes.resize(expected_bytes.size() + 256);
        for (uint32_t i = 0; i < count; ++i) {
            // Every width of the type, none included.
            const size_t width = random() % (8 * sizeof(T) + 1);
            values.push_back(width == 0 ? T{0} : static_cast<T>(random() >> (64 - width)));
            bytes.push_back(static_cast<uint8_t>(random() % 40));
            ++expected[expected.size() - detail::width_counters +
                       detail::value_width(values.back())];
            ++expected_bytes[expected_bytes.size() - 256 + bytes.back()];
        }
    }
    std::vector<uint32_t> got(expected.size());
    std::vector<uint32_t> got_bytes(expected_bytes.size());
    outcome.fault = detail::widths_cuda<T>({.counts = counts, .values = values}, got);
    if (outcome.fault.empty()) {
        outcome.fault = detail::byte_histogram_cuda(bytes, counts, got_bytes);
    }
    if (!outcome.fault.empty()) { return; }
    if (got != expected) { outcome.fault = "the device counts other widths"; }
    if (got_bytes != expected_bytes) { outcome.fault = "the device counts other bytes"; }
    outcome.compared += 2 * values.size();
}

template <class T>
void compare_all(const Effort& effort, Outcome& outcome) {
    compare_widths<T>(effort, outcome);
    compare_gaps<T>(effort, outcome);
    compare_histograms<T>(effort, outcome);
}

/// Stored answers: nine values at three bits, and gaps that end at the last integer or beyond it.
std::string check_known() {
    const std::vector<uint32_t> counts{9};
    const std::vector<uint8_t> widths{3};
    const std::vector<uint32_t> values{1, 2, 3, 4, 5, 6, 7, 0, 5};
    const std::vector<uint8_t> expected{0xd1, 0x58, 0x1f, 0x05};
    std::vector<uint8_t> packed(expected.size());
    std::vector<uint32_t> any(1);
    PackEmulation<uint32_t>({.counts = counts, .widths = widths, .values = values})
        .pack(packed, any);
    if (packed != expected || any[0] != 7) { return "packs nine values otherwise"; }
    const std::vector<uint32_t> two{2, 2};
    const std::vector<uint32_t> gaps{5, 0xfffffff9, 5, 0xfffffffa};
    const std::vector<uint32_t> sums{5, 0xffffffff, 5, 0};
    std::vector<uint32_t> decoded(4);
    std::vector<uint32_t> refused(2);
    PackEmulation<uint32_t>({.counts = two, .values = gaps})
        .decode(CodeKind::gap, decoded, refused);
    if (decoded != sums) { return "decodes gaps to other values"; }
    if (refused != std::vector<uint32_t>{0, 1}) { return "refuses other gaps"; }
    return {};
}

class PackCase final : public Case {
public:
    explicit PackCase(bool decodes) : decodes_(decodes) {}

    const char* name() const override { return decodes_ ? "unpack_sum" : "delta_pack"; }

    Outcome check_on_host() override {
        Outcome outcome;
        outcome.fault = check_known();
        if (outcome.fault.empty()) {
            outcome.fault = decodes_ ? check_gaps<uint64_t>() : check_gaps<uint32_t>();
        }
        if (!outcome.fault.empty()) {
            outcome.fault = "the device's code on the host " + outcome.fault;
        }
        outcome.compared = 20'013;
        return outcome;
    }

    Outcome check_on_device(const Effort& effort) override {
        Outcome outcome;
        const detail::CudaProbe& probe = detail::pack_cuda_probe();
        if (!probe.available) {
            outcome.fault = probe.reason;
            return outcome;
        }
        // Both directions are compared at once: each case takes one type.
        decodes_ ? compare_all<uint64_t>(effort, outcome) : compare_all<uint32_t>(effort, outcome);
        return outcome;
    }

    std::span<const uint32_t> batches() const override { return usual_batches; }

    std::string prepare(uint32_t batch, uint32_t /*threads*/, Workload& workload) override {
        struct Buffers {
            PackBatch batch;
            std::vector<uint32_t> any;
            std::vector<uint32_t> refused;
        };
        const auto b = std::make_shared<Buffers>();
        b->batch = make_timed_batch(batch);
        b->any.resize(b->batch.counts.size());
        b->refused.resize(b->batch.counts.size());
        using Job = PackJob<uint32_t>;
        if (decodes_) {
            workload.end_to_end = [b] {
                PackBatch& x = b->batch;
                std::string fault = detail::unpack_cuda<uint32_t>(
                    Job{.counts = x.counts, .widths = x.widths, .packed = x.packed}, x.coded,
                    b->any);
                if (!fault.empty()) { return fault; }
                return detail::decode_cuda<uint32_t>(
                    Job{.counts = x.counts, .values = x.coded, .bases = x.bases},
                    CodeKind::zigzag_delta, x.values, b->refused);
            };
            return prepare_unpack_kernel(batch, workload.kernel);
        }
        workload.end_to_end = [b] {
            PackBatch& x = b->batch;
            std::string fault = detail::encode_cuda<uint32_t>(
                Job{.counts = x.counts, .values = x.values, .bases = x.bases},
                CodeKind::zigzag_delta, x.coded, b->refused);
            if (!fault.empty()) { return fault; }
            return detail::pack_cuda<uint32_t>(
                Job{.counts = x.counts, .widths = x.widths, .values = x.coded}, x.packed, b->any);
        };
        return prepare_pack_kernel(batch, workload.kernel);
    }

private:
    bool decodes_;
};

}  // namespace

PackBatch make_timed_batch(uint32_t values) {
    std::mt19937_64 random(values);
    PackBatch batch;
    for (uint32_t done = 0; done < values; done += timed_block_values) {
        batch.counts.push_back(std::min(timed_block_values, values - done));
        batch.widths.push_back(timed_width);
        batch.bases.push_back(static_cast<uint32_t>(random()));
        uint32_t at = batch.bases.back();
        for (uint32_t i = 0; i < batch.counts.back(); ++i) {
            batch.coded.push_back(static_cast<uint32_t>(random() >> (64 - timed_width)));
            at += detail::unzigzag(batch.coded.back());
            batch.values.push_back(at);
        }
        batch.packed.resize(batch.packed.size() +
                            (size_t{batch.counts.back()} * timed_width + 7) / 8);
    }
    std::vector<uint32_t> any(batch.counts.size());
    std::vector<uint8_t> packed(batch.packed.size());
    PackEmulation<uint32_t>({.counts = batch.counts, .widths = batch.widths, .values = batch.coded})
        .pack(packed, any);
    batch.packed = packed;
    return batch;
}

Case& pack_case() {
    static PackCase instance(false);
    return instance;
}

Case& unpack_case() {
    static PackCase instance(true);
    return instance;
}

}  // namespace millrace::gpu_check
