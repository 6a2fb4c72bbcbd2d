// SPDX-License-Identifier: Apache-2.0
// Owns the checks of packing calls and the choice of the back end.
#include "kernels/pack/pack.hpp"

#include <algorithm>
#include <bit>
#include <string>
#include <vector>

#include "kernels/pack/detail/backends.hpp"

namespace millrace::kernels {

namespace {

using detail::CodeKind;
using detail::PackBlockKernel;
using detail::PackJob;

static_assert(static_cast<int>(ValueCode::offset) == static_cast<int>(CodeKind::offset));
static_assert(static_cast<int>(ValueCode::delta) == static_cast<int>(CodeKind::delta));
static_assert(static_cast<int>(ValueCode::zigzag_delta) ==
              static_cast<int>(CodeKind::zigzag_delta));
static_assert(static_cast<int>(ValueCode::gap) == static_cast<int>(CodeKind::gap));

std::string text(size_t n) { return std::to_string(n); }

std::unexpected<Error> refuse(const char* call, const std::string& what) {
    return fail(ErrorCode::invalid_input, std::string(call) + ": " + what);
}

Result<void> check_same(const char* call, const char* what, size_t seen, size_t expected) {
    if (seen == expected) { return {}; }
    return refuse(call, "got " + text(seen) + " " + what + ", but the batch has " + text(expected) +
                            "; pass exactly as many");
}

/// The counts are within the limit and add up to the values.
Result<void> check_counts(const char* call, std::span<const uint32_t> counts, size_t values) {
    size_t sum = 0;
    for (size_t b = 0; b < counts.size(); ++b) {
        if (counts[b] > pack_block_values_max) {
            return fail(ErrorCode::limit, std::string(call) + ": block " + text(b) + " has " +
                                              text(counts[b]) + " values, at most " +
                                              text(pack_block_values_max) +
                                              "; cut it into several");
        }
        sum += counts[b];
    }
    return check_same(call, "values", values, sum);
}

/// The widths are within T's and the packed blocks fill the bytes.
template <class T>
Result<void> check_widths(const char* call, std::span<const uint32_t> counts,
                          std::span<const uint8_t> widths, size_t bytes) {
    MILLRACE_CHECK(check_same(call, "widths", widths.size(), counts.size()));
    size_t sum = 0;
    for (size_t b = 0; b < counts.size(); ++b) {
        if (widths[b] > pack_width_max<T>) {
            return refuse(call, "block " + text(b) + " has the width " + text(widths[b]) +
                                    ", at most " + text(pack_width_max<T>));
        }
        sum += packed_bytes(counts[b], widths[b]);
    }
    return check_same(call, "packed bytes", bytes, sum);
}

/// The bits after the last value of each block are zero.
Result<void> check_padding(std::span<const uint32_t> counts, std::span<const uint8_t> widths,
                           ByteView packed) {
    size_t end = 0;
    for (size_t b = 0; b < counts.size(); ++b) {
        end += packed_bytes(counts[b], widths[b]);
        const unsigned used = static_cast<unsigned>(size_t{counts[b]} * widths[b] % 8);
        if (used != 0 && packed[end - 1] >> used != 0) {
            return refuse("unpack_blocks",
                          "block " + text(b) + " has bits set after its last value");
        }
    }
    return {};
}

template <class T>
const PackBlockKernel<T>& cpu_kernel(Backend backend) {
    return backend == Backend::simd ? detail::pack_simd<T>() : detail::pack_scalar<T>();
}

/// `run` gives an empty text, or what failed on the device.
template <class Run>
Result<void> on_cuda(const Run& run) {
    const detail::CudaProbe& probe = detail::pack_cuda_probe();
    if (!probe.available) { return fail(ErrorCode::unavailable, "CUDA back end: " + probe.reason); }
    if (std::string fault = run(); !fault.empty()) {
        return fail(ErrorCode::internal, "CUDA back end: " + fault);
    }
    return {};
}

template <class T>
unsigned width_of(T any) {
    return static_cast<unsigned>(std::bit_width(any));
}

template <class T>
Result<void> check_fits(size_t block, unsigned width, T any) {
    if (width_of(any) <= width) { return {}; }
    return refuse("pack_blocks", "block " + text(block) + " has a value of " + text(width_of(any)) +
                                     " bits, but its width is " + text(width));
}

template <class T>
Result<void> check_least(size_t block, unsigned width, WidthRule rule, T any) {
    if (rule == WidthRule::any || width_of(any) == width) { return {}; }
    return refuse("unpack_blocks", "block " + text(block) + " has the width " + text(width) +
                                       ", but its widest value has " + text(width_of(any)) +
                                       " bits");
}

std::unexpected<Error> refuse_gap(const char* call, size_t block) {
    return refuse(call, "block " + text(block) +
                            " is not strictly ascending from its base within its integers");
}

template <class T>
T base_of(std::span<const T> bases, size_t block) {
    return bases.empty() ? T{0} : bases[block];
}

/// Encoding and decoding: the same checks, one or the other kernel.
template <class T, class OnCpu, class OnCuda>
Result<void> transform(const char* call, Backend backend, ValueCode code, const PackJob<T>& job,
                       std::span<T> out, const OnCpu& on_cpu, const OnCuda& cuda) {
    MILLRACE_CHECK(check_counts(call, job.counts, job.values.size()));
    MILLRACE_CHECK(check_same(call, "outputs", out.size(), job.values.size()));
    if (!job.bases.empty()) {
        MILLRACE_CHECK(check_same(call, "bases", job.bases.size(), job.counts.size()));
    }
    const auto kind = static_cast<CodeKind>(code);
    if (backend == Backend::cuda) {
        std::vector<uint32_t> refused(job.counts.size());
        MILLRACE_CHECK(on_cuda([&] { return cuda(job, kind, out, std::span(refused)); }));
        const auto first = std::ranges::find_if(refused, [](uint32_t r) { return r != 0; });
        if (first == refused.end()) { return {}; }
        return refuse_gap(call, static_cast<size_t>(first - refused.begin()));
    }
    size_t at = 0;
    for (size_t b = 0; b < job.counts.size(); ++b) {
        const size_t count = job.counts[b];
        if (!on_cpu(cpu_kernel<T>(backend), kind, job.values.data() + at, count,
                    base_of(job.bases, b), out.data() + at)) {
            return refuse_gap(call, b);
        }
        at += count;
    }
    return {};
}

}  // namespace

template <PackedValue T>
Result<void> block_widths(Backend backend, std::span<const T> values,
                          std::span<const uint32_t> counts, std::span<uint8_t> widths) {
    MILLRACE_CHECK(check_counts("block_widths", counts, values.size()));
    MILLRACE_CHECK(check_same("block_widths", "widths", widths.size(), counts.size()));
    if (backend == Backend::cuda) {
        std::vector<T> any(counts.size());
        MILLRACE_CHECK(on_cuda(
            [&] { return detail::any_cuda<T>({.counts = counts, .values = values}, any); }));
        for (size_t b = 0; b < counts.size(); ++b) {
            widths[b] = static_cast<uint8_t>(width_of(any[b]));
        }
        return {};
    }
    const T* at = values.data();
    for (size_t b = 0; b < counts.size(); ++b) {
        widths[b] = static_cast<uint8_t>(width_of(cpu_kernel<T>(backend).any(at, counts[b])));
        at += counts[b];
    }
    return {};
}

template <PackedValue T>
Result<void> block_minima(Backend backend, std::span<const T> values,
                          std::span<const uint32_t> counts, std::span<T> minima) {
    MILLRACE_CHECK(check_counts("block_minima", counts, values.size()));
    MILLRACE_CHECK(check_same("block_minima", "minima", minima.size(), counts.size()));
    if (backend == Backend::cuda) {
        return on_cuda(
            [&] { return detail::minimum_cuda<T>({.counts = counts, .values = values}, minima); });
    }
    const T* at = values.data();
    for (size_t b = 0; b < counts.size(); ++b) {
        minima[b] = cpu_kernel<T>(backend).minimum(at, counts[b]);
        at += counts[b];
    }
    return {};
}

template <PackedValue T>
Result<void> pack_blocks(Backend backend, std::span<const T> values,
                         std::span<const uint32_t> counts, std::span<const uint8_t> widths,
                         std::span<uint8_t> packed) {
    MILLRACE_CHECK(check_counts("pack_blocks", counts, values.size()));
    MILLRACE_CHECK(check_widths<T>("pack_blocks", counts, widths, packed.size()));
    if (backend == Backend::cuda) {
        std::vector<T> any(counts.size());
        MILLRACE_CHECK(on_cuda([&] {
            return detail::pack_cuda<T>({.counts = counts, .widths = widths, .values = values},
                                        packed, any);
        }));
        for (size_t b = 0; b < counts.size(); ++b) {
            MILLRACE_CHECK(check_fits(b, widths[b], any[b]));
        }
        return {};
    }
    const T* from = values.data();
    uint8_t* to = packed.data();
    for (size_t b = 0; b < counts.size(); ++b) {
        const T any = cpu_kernel<T>(backend).pack(from, counts[b], widths[b], to);
        MILLRACE_CHECK(check_fits(b, widths[b], any));
        from += counts[b];
        to += packed_bytes(counts[b], widths[b]);
    }
    return {};
}

template <PackedValue T>
Result<void> unpack_blocks(Backend backend, ByteView packed, std::span<const uint32_t> counts,
                           std::span<const uint8_t> widths, WidthRule rule, std::span<T> values) {
    MILLRACE_CHECK(check_counts("unpack_blocks", counts, values.size()));
    MILLRACE_CHECK(check_widths<T>("unpack_blocks", counts, widths, packed.size()));
    MILLRACE_CHECK(check_padding(counts, widths, packed));
    if (backend == Backend::cuda) {
        std::vector<T> any(counts.size());
        MILLRACE_CHECK(on_cuda([&] {
            return detail::unpack_cuda<T>({.counts = counts, .widths = widths, .packed = packed},
                                          values, any);
        }));
        for (size_t b = 0; b < counts.size(); ++b) {
            MILLRACE_CHECK(check_least(b, widths[b], rule, any[b]));
        }
        return {};
    }
    const uint8_t* from = packed.data();
    T* to = values.data();
    for (size_t b = 0; b < counts.size(); ++b) {
        const T any = cpu_kernel<T>(backend).unpack(from, counts[b], widths[b], to);
        MILLRACE_CHECK(check_least(b, widths[b], rule, any));
        from += packed_bytes(counts[b], widths[b]);
        to += counts[b];
    }
    return {};
}

template <PackedValue T>
Result<void> encode_blocks(Backend backend, ValueCode code, std::span<const T> values,
                           std::span<const uint32_t> counts, std::span<const T> bases,
                           std::span<T> coded) {
    const PackJob<T> job{.counts = counts, .values = values, .bases = bases};
    return transform(
        "encode_blocks", backend, code, job, coded,
        [](const PackBlockKernel<T>& kernel, auto... arguments) {
            return kernel.encode(arguments...);
        },
        detail::encode_cuda<T>);
}

template <PackedValue T>
Result<void> decode_blocks(Backend backend, ValueCode code, std::span<const T> coded,
                           std::span<const uint32_t> counts, std::span<const T> bases,
                           std::span<T> values) {
    const PackJob<T> job{.counts = counts, .values = coded, .bases = bases};
    return transform(
        "decode_blocks", backend, code, job, values,
        [](const PackBlockKernel<T>& kernel, auto... arguments) {
            return kernel.decode(arguments...);
        },
        detail::decode_cuda<T>);
}

Result<void> byte_histograms(Backend backend, ByteView bytes, std::span<const uint32_t> counts,
                             std::span<ByteHistogram> histograms) {
    MILLRACE_CHECK(check_counts("byte_histograms", counts, bytes.size()));
    MILLRACE_CHECK(check_same("byte_histograms", "histograms", histograms.size(), counts.size()));
    if (backend == Backend::cuda) {
        const std::span flat(reinterpret_cast<uint32_t*>(histograms.data()),
                             256 * histograms.size());
        return on_cuda([&] { return detail::byte_histogram_cuda(bytes, counts, flat); });
    }
    const uint8_t* at = bytes.data();
    for (size_t b = 0; b < counts.size(); ++b) {
        histograms[b].fill(0);
        if (backend == Backend::simd) {
            detail::byte_histogram_simd(at, counts[b], histograms[b].data());
        } else {
            detail::byte_histogram_scalar(at, counts[b], histograms[b].data());
        }
        at += counts[b];
    }
    return {};
}

template <PackedValue T>
Result<void> width_histograms(Backend backend, std::span<const T> values,
                              std::span<const uint32_t> counts,
                              std::span<WidthHistogram> histograms) {
    MILLRACE_CHECK(check_counts("width_histograms", counts, values.size()));
    MILLRACE_CHECK(check_same("width_histograms", "histograms", histograms.size(), counts.size()));
    if (backend == Backend::cuda) {
        const std::span flat(reinterpret_cast<uint32_t*>(histograms.data()),
                             65 * histograms.size());
        return on_cuda(
            [&] { return detail::widths_cuda<T>({.counts = counts, .values = values}, flat); });
    }
    const T* at = values.data();
    for (size_t b = 0; b < counts.size(); ++b) {
        histograms[b].fill(0);
        cpu_kernel<T>(backend).widths(at, counts[b], histograms[b].data());
        at += counts[b];
    }
    return {};
}

BackendStatus pack_backend_status(Backend backend) {
    BackendStatus status{.kernel = "pack", .backend = backend};
    if (backend == Backend::cuda) {
        const detail::CudaProbe& probe = detail::pack_cuda_probe();
        status.available = probe.available;
        status.target = probe.target;
        status.reason = probe.reason;
    } else {
        status.available = true;
        status.target = backend == Backend::simd ? detail::pack_simd_target() : "portable";
    }
    return status;
}

#define MILLRACE_PACK_INSTANTIATE(T)                                                              \
    template Result<void> block_widths<T>(Backend, std::span<const T>, std::span<const uint32_t>, \
                                          std::span<uint8_t>);                                    \
    template Result<void> block_minima<T>(Backend, std::span<const T>, std::span<const uint32_t>, \
                                          std::span<T>);                                          \
    template Result<void> pack_blocks<T>(Backend, std::span<const T>, std::span<const uint32_t>,  \
                                         std::span<const uint8_t>, std::span<uint8_t>);           \
    template Result<void> unpack_blocks<T>(Backend, ByteView, std::span<const uint32_t>,          \
                                           std::span<const uint8_t>, WidthRule, std::span<T>);    \
    template Result<void> encode_blocks<T>(Backend, ValueCode, std::span<const T>,                \
                                           std::span<const uint32_t>, std::span<const T>,         \
                                           std::span<T>);                                         \
    template Result<void> decode_blocks<T>(Backend, ValueCode, std::span<const T>,                \
                                           std::span<const uint32_t>, std::span<const T>,         \
                                           std::span<T>);                                         \
    template Result<void> width_histograms<T>(                                                    \
        Backend, std::span<const T>, std::span<const uint32_t>, std::span<WidthHistogram>);
MILLRACE_PACK_INSTANTIATE(uint32_t)
MILLRACE_PACK_INSTANTIATE(uint64_t)
#undef MILLRACE_PACK_INSTANTIATE

}  // namespace millrace::kernels
