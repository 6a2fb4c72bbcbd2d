// SPDX-License-Identifier: Apache-2.0
// Owns packing and unpacking of a batch that lies in device memory, for its timing.
#include <cstring>
#include <memory>
#include <vector>

#include "kernels/gpu_check/detail/device_timing.cuh"
#include "kernels/gpu_check/device.hpp"
#include "kernels/gpu_check/pack_batch.hpp"
#include "kernels/pack/detail/pack_kernels.cuh"

namespace millrace::gpu_check {

namespace {

namespace pack = kernels::detail;
using pack::CodeKind;
using pack::PackTile;
using pack::TileList;

struct Resident {
    DeviceArray<PackTile> tiles;
    DeviceArray<uint32_t> bases;
    DeviceArray<uint32_t> firsts;
    DeviceArray<uint32_t> values;
    DeviceArray<uint32_t> coded;
    DeviceArray<uint32_t> sums;
    DeviceArray<uint64_t> words;
    DeviceArray<uint32_t> any;
    DeviceArray<uint32_t> refused;
    DeviceArray<uint8_t> scratch;
    TileList list{};
    uint32_t count = 0;
    size_t scratch_bytes = 0;
    Stopwatch stopwatch;

    template <class T>
    static std::string fill(DeviceArray<T>& array, const std::vector<T>& from) {
        if (std::string fault = array.open(from.size()); !fault.empty()) { return fault; }
        MILLRACE_CHECK_CUDA(
            cudaMemcpy(array.get(), from.data(), from.size() * sizeof(T), cudaMemcpyHostToDevice));
        return {};
    }

    std::string open(uint32_t batch_values) {
        const PackBatch batch = make_timed_batch(batch_values);
        const size_t blocks = batch.counts.size();
        count = batch_values;
        std::vector<PackTile> made(batch_values / pack::tile_values + blocks + 1);
        made.resize(pack::make_tiles(batch.counts, batch.widths, pack::tile_values, made.data()));
        // A full block ends on a word, so that the packed bytes lie as the words do.
        static_assert(timed_block_values % 64 == 0);
        std::vector<uint64_t> packed((batch.packed.size() + 7) / 8);
        std::memcpy(packed.data(), batch.packed.data(), batch.packed.size());
        std::vector<uint32_t> block_firsts(blocks);
        for (size_t b = 1; b < blocks; ++b) {
            block_firsts[b] = block_firsts[b - 1] + batch.counts[b - 1];
        }
        MILLRACE_CHECK_CUDA(
            pack::launch_sums<uint32_t>(nullptr, scratch_bytes, nullptr, count, nullptr));
        for (const std::string& fault :
             {fill(tiles, made), fill(bases, batch.bases), fill(firsts, block_firsts),
              fill(values, batch.values), fill(coded, batch.coded), fill(words, packed),
              sums.open(count), any.open(blocks), refused.open(blocks),
              scratch.open(scratch_bytes + 1)}) {
            if (!fault.empty()) { return fault; }
        }
        MILLRACE_CHECK_CUDA(cudaMemset(any.get(), 0, blocks * sizeof(uint32_t)));
        MILLRACE_CHECK_CUDA(cudaMemset(refused.get(), 0, blocks * sizeof(uint32_t)));
        list = {tiles.get(), static_cast<uint32_t>(made.size())};
        return stopwatch.open();
    }

    cudaError_t encode(cudaStream_t stream) {
        const cudaError_t error =
            pack::launch_encode<uint32_t>(list, CodeKind::zigzag_delta, values.get(), bases.get(),
                                          coded.get(), refused.get(), stream);
        if (error != cudaSuccess) { return error; }
        return pack::launch_pack<uint32_t>(list, coded.get(), words.get(), any.get(), stream);
    }

    cudaError_t decode(cudaStream_t stream) {
        cudaError_t error =
            pack::launch_unpack<uint32_t>(list, words.get(), coded.get(), any.get(), stream);
        if (error != cudaSuccess) { return error; }
        error = pack::launch_steps<uint32_t>(list, CodeKind::zigzag_delta, coded.get(), sums.get(),
                                             stream);
        if (error != cudaSuccess) { return error; }
        error =
            pack::launch_sums<uint32_t>(scratch.get(), scratch_bytes, sums.get(), count, stream);
        if (error != cudaSuccess) { return error; }
        return pack::launch_finish<uint32_t>(list, CodeKind::zigzag_delta, coded.get(), sums.get(),
                                             firsts.get(), bases.get(), values.get(), refused.get(),
                                             stream);
    }
};

std::string prepare(uint32_t batch, KernelRun& run, cudaError_t (Resident::*launch)(cudaStream_t)) {
    const auto resident = std::make_shared<Resident>();
    if (std::string fault = resident->open(batch); !fault.empty()) { return fault; }
    run = [resident, launch](double& microseconds) {
        return resident->stopwatch.time(
            [&](cudaStream_t stream) { return ((*resident).*launch)(stream); }, microseconds);
    };
    return {};
}

}  // namespace

std::string prepare_pack_kernel(uint32_t batch, KernelRun& run) {
    return prepare(batch, run, &Resident::encode);
}

std::string prepare_unpack_kernel(uint32_t batch, KernelRun& run) {
    return prepare(batch, run, &Resident::decode);
}

}  // namespace millrace::gpu_check
