// SPDX-License-Identifier: Apache-2.0
// Owns the staging of packing to an NVIDIA device: batches are cut into launches of whole blocks.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <string>

#include "kernels/batch/detail/cuda_call.cuh"
#include "kernels/pack/detail/backends.hpp"
#include "kernels/pack/detail/pack_kernels.cuh"

namespace millrace::kernels::detail {

namespace {

// Limits of one launch. A block of the public limit, 2^20 values, always fits.
constexpr size_t launch_values_max = size_t{1} << 22;
constexpr size_t launch_blocks_max = size_t{1} << 14;
constexpr size_t launch_bytes_max = 8 * launch_values_max;
constexpr size_t launch_tiles_max = launch_values_max / tile_values + launch_blocks_max;
/// Packed words: those of 64-bit values, and the filling of each block's last one.
constexpr size_t launch_words_max = launch_values_max + launch_blocks_max;
static_assert(256 * 4 * launch_blocks_max <= launch_bytes_max, "histograms fit the output");

/// Consecutive blocks that one launch carries.
template <class T>
struct Cut {
    size_t first_block = 0;
    size_t blocks = 0;
    size_t first_value = 0;
    size_t values = 0;
    size_t first_byte = 0;  ///< of the packed blocks

    std::span<const uint32_t> counts(const PackJob<T>& job) const {
        return job.counts.subspan(first_block, blocks);
    }
    std::span<const uint8_t> widths(const PackJob<T>& job) const {
        return job.widths.empty() ? job.widths : job.widths.subspan(first_block, blocks);
    }
    size_t values_bytes() const { return values * sizeof(T); }
};

/// Pinned host memory and device memory for one launch.
struct PackMemory {
    cudaStream_t stream = nullptr;
    // On the host.
    uint8_t* input = nullptr;
    uint8_t* output = nullptr;
    PackTile* tiles = nullptr;
    uint64_t* of_blocks = nullptr;
    uint32_t* firsts = nullptr;
    uint32_t* refused = nullptr;
    // On the device.
    uint8_t* device_input = nullptr;
    uint8_t* device_output = nullptr;
    uint8_t* device_sums = nullptr;
    uint8_t* device_scratch = nullptr;
    PackTile* device_tiles = nullptr;
    uint64_t* device_of_blocks = nullptr;
    uint32_t* device_firsts = nullptr;
    uint32_t* device_refused = nullptr;
    size_t scratch_bytes = 0;

    template <class P>
    static std::string on_host(P*& to, size_t count) {
        MILLRACE_CUDA_CHECK(cudaMallocHost(reinterpret_cast<void**>(&to), count * sizeof(P)));
        return {};
    }
    template <class P>
    static std::string on_device(P*& to, size_t count) {
        MILLRACE_CUDA_CHECK(cudaMalloc(reinterpret_cast<void**>(&to), count * sizeof(P)));
        return {};
    }

    std::string open() {
        MILLRACE_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
        size_t scratch32 = 0;
        size_t scratch64 = 0;
        MILLRACE_CUDA_CHECK(launch_sums<uint32_t>(nullptr, scratch32, nullptr,
                                                  uint32_t{launch_values_max}, stream));
        MILLRACE_CUDA_CHECK(launch_sums<uint64_t>(nullptr, scratch64, nullptr,
                                                  uint32_t{launch_values_max}, stream));
        scratch_bytes = std::max({scratch32, scratch64, size_t{1}});
        constexpr size_t room = 8 * launch_words_max;
        for (const std::string& fault :
             {on_host(input, room), on_host(output, room), on_host(tiles, launch_tiles_max),
              on_host(of_blocks, launch_blocks_max), on_host(firsts, launch_blocks_max),
              on_host(refused, launch_blocks_max), on_device(device_input, room),
              on_device(device_output, room), on_device(device_sums, launch_bytes_max),
              on_device(device_scratch, scratch_bytes), on_device(device_tiles, launch_tiles_max),
              on_device(device_of_blocks, launch_blocks_max),
              on_device(device_firsts, launch_blocks_max),
              on_device(device_refused, launch_blocks_max)}) {
            if (!fault.empty()) { return fault; }
        }
        return {};
    }

    template <class T>
    T* values_in() {
        return reinterpret_cast<T*>(device_input);
    }
    template <class T>
    T* values_out() {
        return reinterpret_cast<T*>(device_output);
    }
    template <class T>
    T* block_values() {
        return reinterpret_cast<T*>(device_of_blocks);
    }
    std::string upload(void* to, const void* from, size_t bytes) {
        if (bytes == 0) { return {}; }
        MILLRACE_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream));
        return {};
    }
    std::string download(void* to, const void* from, size_t bytes) {
        if (bytes == 0) { return {}; }
        MILLRACE_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream));
        return {};
    }
    std::string fill(void* to, int byte, size_t bytes) {
        if (bytes == 0) { return {}; }
        MILLRACE_CUDA_CHECK(cudaMemsetAsync(to, byte, bytes, stream));
        return {};
    }
    std::string wait() {
        MILLRACE_CUDA_CHECK(cudaStreamSynchronize(stream));
        return {};
    }
};

/// Returns the description of what failed from the enclosing function.
#define MILLRACE_PACK_STEP(call)                                             \
    do {                                                                     \
        if (std::string fault_ = (call); !fault_.empty()) { return fault_; } \
    } while (false)

/// The device of the process. Its memory is given back by the driver when the process ends: a
/// destructor would run after the CUDA runtime has gone.
class PackDevice {
public:
    static PackDevice& instance() {
        static PackDevice& device = *new PackDevice;
        return device;
    }

    /// Calls run(memory, cut, tiles) for each part of the batch, with its tiles on the device.
    template <class T, class Run>
    std::string for_each_cut(const PackJob<T>& job, uint32_t tile, const Run& run) {
        const std::lock_guard lock(mutex_);
        if (fault_.empty()) { fault_ = cut_locked(job, tile, run); }
        return fault_;
    }

private:
    std::string open() {
        MILLRACE_CUDA_CHECK(cudaSetDevice(0));
        if (open_) { return {}; }
        MILLRACE_PACK_STEP(memory_.open());
        open_ = true;
        return {};
    }

    template <class T, class Run>
    std::string cut_locked(const PackJob<T>& job, uint32_t tile, const Run& run) {
        MILLRACE_PACK_STEP(open());
        Cut<T> cut;
        while (cut.first_block < job.counts.size()) {
            size_t bytes = 0;
            for (size_t b = cut.first_block;
                 b < job.counts.size() && cut.blocks < launch_blocks_max &&
                 cut.values + job.counts[b] <= launch_values_max;
                 ++b) {
                cut.values += job.counts[b];
                if (!job.widths.empty()) {
                    bytes += (size_t{job.counts[b]} * job.widths[b] + 7) / 8;
                }
                ++cut.blocks;
            }
            const size_t tiles = make_tiles(cut.counts(job), cut.widths(job), tile, memory_.tiles);
            MILLRACE_PACK_STEP(
                memory_.upload(memory_.device_tiles, memory_.tiles, tiles * sizeof(PackTile)));
            MILLRACE_PACK_STEP(
                run(memory_, cut, TileList{memory_.device_tiles, static_cast<uint32_t>(tiles)}));
            cut = {.first_block = cut.first_block + cut.blocks,
                   .first_value = cut.first_value + cut.values,
                   .first_byte = cut.first_byte + bytes};
        }
        return {};
    }

    std::mutex mutex_;  ///< guards everything below
    PackMemory memory_;
    bool open_ = false;
    std::string fault_;  ///< the first failure; nothing is tried after it
};

template <class T>
std::string upload_values(PackMemory& m, const PackJob<T>& job, const Cut<T>& cut) {
    if (cut.values != 0) {
        std::memcpy(m.input, job.values.data() + cut.first_value, cut.values_bytes());
    }
    return m.upload(m.device_input, m.input, cut.values_bytes());
}

/// Uploads the bases, zeros if there are none, and clears what says that a block is refused.
template <class T>
std::string upload_bases(PackMemory& m, const PackJob<T>& job, const Cut<T>& cut) {
    const size_t bytes = cut.blocks * sizeof(T);
    if (job.bases.empty()) {
        std::memset(m.of_blocks, 0, bytes);
    } else {
        std::memcpy(m.of_blocks, job.bases.data() + cut.first_block, bytes);
    }
    MILLRACE_PACK_STEP(m.upload(m.device_of_blocks, m.of_blocks, bytes));
    return m.fill(m.device_refused, 0, cut.blocks * sizeof(uint32_t));
}

/// Waits for the device and gives the results of the cut's blocks.
template <class T>
std::string download_of_blocks(PackMemory& m, const Cut<T>& cut, std::span<T> to) {
    MILLRACE_PACK_STEP(m.download(m.of_blocks, m.device_of_blocks, cut.blocks * sizeof(T)));
    MILLRACE_PACK_STEP(m.wait());
    std::memcpy(to.data() + cut.first_block, m.of_blocks, cut.blocks * sizeof(T));
    return {};
}

template <class T>
std::string download_values(PackMemory& m, const Cut<T>& cut, std::span<T> to) {
    MILLRACE_PACK_STEP(m.download(m.output, m.device_output, cut.values_bytes()));
    MILLRACE_PACK_STEP(m.wait());
    if (cut.values != 0) { std::memcpy(to.data() + cut.first_value, m.output, cut.values_bytes()); }
    return {};
}

template <class T>
std::string download_transformed(PackMemory& m, const Cut<T>& cut, std::span<T> to,
                                 std::span<uint32_t> refused) {
    MILLRACE_PACK_STEP(m.download(m.refused, m.device_refused, cut.blocks * sizeof(uint32_t)));
    MILLRACE_PACK_STEP(download_values(m, cut, to));
    std::memcpy(refused.data() + cut.first_block, m.refused, cut.blocks * sizeof(uint32_t));
    return {};
}

/// Copies the packed bytes of each block between the batch, where they follow each other, and the
/// staging memory, where each begins on a word; `copy(packed, staged, bytes)` does one.
template <class T, class Copy>
size_t for_packed_blocks(const PackJob<T>& job, const Cut<T>& cut, const Copy& copy) {
    size_t byte = cut.first_byte;
    size_t word = 0;
    for (size_t b = cut.first_block; b < cut.first_block + cut.blocks; ++b) {
        const size_t bytes = (size_t{job.counts[b]} * job.widths[b] + 7) / 8;
        copy(byte, 8 * word, bytes);
        byte += bytes;
        word += block_words(job.counts[b], job.widths[b]);
    }
    return word;
}

std::string histogram_out(PackMemory& m, size_t counters, uint32_t* to) {
    MILLRACE_PACK_STEP(m.download(m.output, m.device_output, counters * sizeof(uint32_t)));
    MILLRACE_PACK_STEP(m.wait());
    std::memcpy(to, m.output, counters * sizeof(uint32_t));
    return {};
}

CudaProbe probe_pack() {
    CudaProbe probe = find_cuda_device();
    if (!probe.reason.empty()) { return probe; }
    const std::string name = probe.target;
    probe.target.clear();
    // Steps of one, as gaps: their sums use every kind of kernel, the scan of CUB too.
    const uint32_t counts[] = {700};
    uint32_t coded[700] = {};
    uint32_t values[700];
    uint32_t refused[1];
    const std::string fault =
        decode_cuda<uint32_t>({.counts = counts, .values = coded}, CodeKind::gap, values, refused);
    if (!fault.empty()) {
        probe.reason = name + ": " + fault;
        return probe;
    }
    for (uint32_t i = 0; i < 700; ++i) {
        if (values[i] != i || refused[0] != 0) {
            probe.reason = name + ": the known answer came back wrong";
            return probe;
        }
    }
    probe.available = true;
    probe.target = name;
    return probe;
}

}  // namespace

const CudaProbe& pack_cuda_probe() {
    static const CudaProbe probe = probe_pack();
    return probe;
}

template <class T>
std::string any_cuda(const PackJob<T>& job, std::span<T> any) {
    const auto run = [&](PackMemory& m, const Cut<T>& cut, TileList tiles) -> std::string {
        MILLRACE_PACK_STEP(upload_values(m, job, cut));
        MILLRACE_PACK_STEP(m.fill(m.device_of_blocks, 0, cut.blocks * sizeof(T)));
        MILLRACE_CUDA_CHECK(launch_any<T>(tiles, m.values_in<T>(), m.block_values<T>(), m.stream));
        return download_of_blocks(m, cut, any);
    };
    return PackDevice::instance().for_each_cut(job, tile_values, run);
}

template <class T>
std::string minimum_cuda(const PackJob<T>& job, std::span<T> minima) {
    const auto run = [&](PackMemory& m, const Cut<T>& cut, TileList tiles) -> std::string {
        MILLRACE_PACK_STEP(upload_values(m, job, cut));
        MILLRACE_PACK_STEP(m.fill(m.device_of_blocks, 0xff, cut.blocks * sizeof(T)));
        MILLRACE_CUDA_CHECK(
            launch_minimum<T>(tiles, m.values_in<T>(), m.block_values<T>(), m.stream));
        MILLRACE_PACK_STEP(download_of_blocks(m, cut, minima));
        for (size_t b = cut.first_block; b < cut.first_block + cut.blocks; ++b) {
            if (job.counts[b] == 0) { minima[b] = 0; }
        }
        return {};
    };
    return PackDevice::instance().for_each_cut(job, tile_values, run);
}

template <class T>
std::string pack_cuda(const PackJob<T>& job, std::span<uint8_t> packed, std::span<T> any) {
    const auto run = [&](PackMemory& m, const Cut<T>& cut, TileList tiles) -> std::string {
        MILLRACE_PACK_STEP(upload_values(m, job, cut));
        MILLRACE_PACK_STEP(m.fill(m.device_of_blocks, 0, cut.blocks * sizeof(T)));
        MILLRACE_CUDA_CHECK(launch_pack<T>(tiles, m.values_in<T>(), m.values_out<uint64_t>(),
                                           m.block_values<T>(), m.stream));
        const size_t words = for_packed_blocks(job, cut, [](size_t, size_t, size_t) {});
        MILLRACE_PACK_STEP(m.download(m.output, m.device_output, 8 * words));
        MILLRACE_PACK_STEP(download_of_blocks(m, cut, any));
        for_packed_blocks(job, cut, [&](size_t byte, size_t staged, size_t bytes) {
            if (bytes != 0) { std::memcpy(packed.data() + byte, m.output + staged, bytes); }
        });
        return {};
    };
    return PackDevice::instance().for_each_cut(job, tile_values, run);
}

template <class T>
std::string unpack_cuda(const PackJob<T>& job, std::span<T> values, std::span<T> any) {
    const auto run = [&](PackMemory& m, const Cut<T>& cut, TileList tiles) -> std::string {
        const size_t words =
            for_packed_blocks(job, cut, [&](size_t byte, size_t staged, size_t bytes) {
                if (bytes == 0) { return; }
                std::memset(m.input + staged + (bytes - 1) / 8 * 8, 0, 8);
                std::memcpy(m.input + staged, job.packed.data() + byte, bytes);
            });
        MILLRACE_PACK_STEP(m.upload(m.device_input, m.input, 8 * words));
        MILLRACE_PACK_STEP(m.fill(m.device_of_blocks, 0, cut.blocks * sizeof(T)));
        MILLRACE_CUDA_CHECK(launch_unpack<T>(tiles, m.values_in<uint64_t>(), m.values_out<T>(),
                                             m.block_values<T>(), m.stream));
        MILLRACE_PACK_STEP(download_of_blocks(m, cut, any));
        return download_values(m, cut, values);
    };
    return PackDevice::instance().for_each_cut(job, tile_values, run);
}

template <class T>
std::string encode_cuda(const PackJob<T>& job, CodeKind code, std::span<T> coded,
                        std::span<uint32_t> refused) {
    const auto run = [&](PackMemory& m, const Cut<T>& cut, TileList tiles) -> std::string {
        MILLRACE_PACK_STEP(upload_values(m, job, cut));
        MILLRACE_PACK_STEP(upload_bases(m, job, cut));
        MILLRACE_CUDA_CHECK(launch_encode<T>(tiles, code, m.values_in<T>(), m.block_values<T>(),
                                             m.values_out<T>(), m.device_refused, m.stream));
        return download_transformed(m, cut, coded, refused);
    };
    return PackDevice::instance().for_each_cut(job, tile_values, run);
}

template <class T>
std::string decode_cuda(const PackJob<T>& job, CodeKind code, std::span<T> values,
                        std::span<uint32_t> refused) {
    const auto run = [&](PackMemory& m, const Cut<T>& cut, TileList tiles) -> std::string {
        MILLRACE_PACK_STEP(upload_values(m, job, cut));
        MILLRACE_PACK_STEP(upload_bases(m, job, cut));
        uint32_t first = 0;
        for (size_t b = 0; b < cut.blocks; ++b) {
            m.firsts[b] = first;
            first += job.counts[cut.first_block + b];
        }
        MILLRACE_PACK_STEP(m.upload(m.device_firsts, m.firsts, cut.blocks * sizeof(uint32_t)));
        T* const sums = reinterpret_cast<T*>(m.device_sums);
        if (cut.values != 0) {
            MILLRACE_CUDA_CHECK(launch_steps<T>(tiles, code, m.values_in<T>(), sums, m.stream));
            MILLRACE_CUDA_CHECK(launch_sums<T>(m.device_scratch, m.scratch_bytes, sums,
                                               static_cast<uint32_t>(cut.values), m.stream));
        }
        MILLRACE_CUDA_CHECK(launch_finish<T>(tiles, code, m.values_in<T>(), sums, m.device_firsts,
                                             m.block_values<T>(), m.values_out<T>(),
                                             m.device_refused, m.stream));
        return download_transformed(m, cut, values, refused);
    };
    return PackDevice::instance().for_each_cut(job, tile_values, run);
}

template <class T>
std::string widths_cuda(const PackJob<T>& job, std::span<uint32_t> histograms) {
    const auto run = [&](PackMemory& m, const Cut<T>& cut, TileList tiles) -> std::string {
        const size_t counters = cut.blocks * width_counters;
        MILLRACE_PACK_STEP(upload_values(m, job, cut));
        MILLRACE_PACK_STEP(m.fill(m.device_output, 0, counters * sizeof(uint32_t)));
        MILLRACE_CUDA_CHECK(
            launch_widths<T>(tiles, m.values_in<T>(), m.values_out<uint32_t>(), m.stream));
        return histogram_out(m, counters, histograms.data() + cut.first_block * width_counters);
    };
    return PackDevice::instance().for_each_cut(job, tile_values, run);
}

std::string byte_histogram_cuda(std::span<const uint8_t> bytes, std::span<const uint32_t> counts,
                                std::span<uint32_t> histograms) {
    using Job = PackJob<uint8_t>;
    const Job job{.counts = counts, .values = bytes};
    const auto run = [&](PackMemory& m, const Cut<uint8_t>& cut, TileList tiles) -> std::string {
        const size_t counters = cut.blocks * 256;
        MILLRACE_PACK_STEP(upload_values(m, job, cut));
        MILLRACE_PACK_STEP(m.fill(m.device_output, 0, counters * sizeof(uint32_t)));
        MILLRACE_CUDA_CHECK(
            launch_byte_histogram(tiles, m.device_input, m.values_out<uint32_t>(), m.stream));
        return histogram_out(m, counters, histograms.data() + cut.first_block * 256);
    };
    return PackDevice::instance().for_each_cut(job, tile_bytes, run);
}

#define MILLRACE_PACK_INSTANTIATE(T)                                                     \
    template std::string any_cuda(const PackJob<T>&, std::span<T>);                      \
    template std::string minimum_cuda(const PackJob<T>&, std::span<T>);                  \
    template std::string pack_cuda(const PackJob<T>&, std::span<uint8_t>, std::span<T>); \
    template std::string unpack_cuda(const PackJob<T>&, std::span<T>, std::span<T>);     \
    template std::string encode_cuda(const PackJob<T>&, CodeKind, std::span<T>,          \
                                     std::span<uint32_t>);                               \
    template std::string decode_cuda(const PackJob<T>&, CodeKind, std::span<T>,          \
                                     std::span<uint32_t>);                               \
    template std::string widths_cuda(const PackJob<T>&, std::span<uint32_t>);
MILLRACE_PACK_INSTANTIATE(uint32_t)
MILLRACE_PACK_INSTANTIATE(uint64_t)
#undef MILLRACE_PACK_INSTANTIATE

}  // namespace millrace::kernels::detail
