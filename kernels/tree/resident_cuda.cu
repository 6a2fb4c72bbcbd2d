// SPDX-License-Identifier: Apache-2.0
// Owns a resident tree in the memory of a CUDA device, and the pinned memory around it.
#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/batch/detail/cuda_call.cuh"
#include "kernels/tree/detail/resident_kernels.cuh"
#include "kernels/tree/detail/resident_store.hpp"
#include "kernels/tree/detail/resident_update.hpp"

namespace millrace::kernels::detail {

namespace {

static_assert(sizeof(Hash256) == sizeof(ResidentNode));

/// Memory of the device, or pinned memory of the host.
template <class T, bool pinned>
class CudaArray {
public:
    CudaArray() = default;
    CudaArray(const CudaArray&) = delete;
    CudaArray& operator=(const CudaArray&) = delete;
    // A failing free repeats an earlier failure, which was reported.
    ~CudaArray() { (void)(pinned ? cudaFreeHost(data_) : cudaFree(data_)); }

    std::string open(size_t count, size_t& total_bytes) {
        const size_t bytes = std::max<size_t>(count, 1) * sizeof(T);
        void* memory = nullptr;
        if constexpr (pinned) {
            MILLRACE_CUDA_CHECK(cudaMallocHost(&memory, bytes));
        } else {
            MILLRACE_CUDA_CHECK(cudaMalloc(&memory, bytes));
        }
        data_ = static_cast<T*>(memory);
        total_bytes += bytes;
        return {};
    }
    T* get() const noexcept { return data_; }

private:
    T* data_ = nullptr;
};
template <class T>
using DeviceMemory = CudaArray<T, false>;
template <class T>
using PinnedMemory = CudaArray<T, true>;

ResidentNode to_node(const Hash256& hash) {
    ResidentNode node;
    std::memcpy(&node, hash.data(), sizeof node);
    return node;
}

class ResidentCuda final : public ResidentStore, private ResidentMachine {
public:
    explicit ResidentCuda(const ResidentShape& shape) : shape_(shape) {}
    ~ResidentCuda() override {
        if (stream_ == nullptr) { return; }
        // What a failed update left behind may still use the memory that is freed next.
        (void)cudaStreamSynchronize(stream_);
        (void)cudaStreamDestroy(stream_);
    }

    std::string open();

    ResidentStaging staging() override {
        return {{host_leaves_.get(), shape_.writes_max}, {host_values_.get(), shape_.writes_max}};
    }
    std::string fill(const Hash256& leaf) override;
    std::string load(std::span<const Hash256> leaves) override;
    std::string update(uint32_t writes, bool sorted, ResidentReport& report) override;
    std::string read(size_t first, std::span<Hash256> nodes) override;
    size_t tree_bytes() const override { return tree_bytes_; }
    size_t staging_bytes() const override { return staging_bytes_; }

private:
    std::string sort(uint32_t writes) override;
    std::string settle(uint32_t writes, bool sorted,
                       std::array<uint32_t, resident_counts>& counts) override;
    std::string list_parents(const ResidentLevel& below, const ResidentLevel& level) override;
    std::string hash_level(const ResidentLevel& level) override;
    std::string hash_top(const ResidentLevel& below, size_t offset) override;

    bool is_leaves(const ResidentLevel& level) const {
        return level.first_node == uint32_t{1} << shape_.height;
    }
    /// What of the changes a task that begins at `offset` writes.
    ResidentTask task_at(size_t offset) const {
        return {.nodes = nodes_.get(),
                .places = nullptr,
                .first_node = 0,
                .count = 0,
                .changed_places = places_.get() + offset,
                .changed_hashes = shape_.report_changes ? changed_hashes_.get() + offset : nullptr};
    }
    std::string rehash_all();
    std::string download(size_t changed, ResidentReport& report);

    ResidentShape shape_;
    size_t tree_bytes_ = 0;
    size_t staging_bytes_ = 0;
    cudaStream_t stream_ = nullptr;
    DeviceMemory<ResidentNode> nodes_;
    DeviceMemory<uint32_t> leaves_;
    DeviceMemory<ResidentNode> values_;
    DeviceMemory<uint32_t> numbers_;
    DeviceMemory<uint32_t> sorted_leaves_;
    DeviceMemory<uint32_t> order_;
    DeviceMemory<uint32_t> counts_;  ///< resident_counts, then a word of scratch
    DeviceMemory<uint32_t> places_;  ///< of all levels of an update
    DeviceMemory<ResidentNode> changed_hashes_;
    DeviceMemory<uint8_t> scratch_memory_;
    ResidentScratch scratch_;
    PinnedMemory<uint32_t> host_leaves_;
    PinnedMemory<Hash256> host_values_;
    PinnedMemory<uint32_t> host_counts_;
    PinnedMemory<Hash256> host_root_;
    PinnedMemory<uint32_t> host_places_;
    PinnedMemory<Hash256> host_hashes_;
    const uint32_t* update_leaves_ = nullptr;  ///< ascending ones of the update that runs
};

std::string ResidentCuda::open() {
    MILLRACE_CUDA_CHECK(cudaSetDevice(0));
    const size_t writes = shape_.writes_max;
    const size_t changes = resident_changes_max(shape_.height, writes);
    const size_t reported = shape_.report_changes ? changes : 0;
    size_t scratch_bytes = 0;
    std::string fault = resident_scratch_bytes(shape_.height, shape_.writes_max, scratch_bytes);
    const auto take = [&](auto& memory, size_t count, size_t& total) {
        if (fault.empty()) { fault = memory.open(count, total); }
    };
    take(nodes_, tree_nodes(shape_.height), tree_bytes_);
    take(leaves_, writes, tree_bytes_);
    take(values_, writes, tree_bytes_);
    take(numbers_, writes, tree_bytes_);
    take(sorted_leaves_, writes, tree_bytes_);
    take(order_, writes, tree_bytes_);
    take(counts_, resident_counts + 1, tree_bytes_);
    take(places_, changes, tree_bytes_);
    take(changed_hashes_, reported, tree_bytes_);
    take(scratch_memory_, scratch_bytes, tree_bytes_);
    take(host_leaves_, writes, staging_bytes_);
    take(host_values_, writes, staging_bytes_);
    take(host_counts_, resident_counts, staging_bytes_);
    take(host_root_, 1, staging_bytes_);
    take(host_places_, reported, staging_bytes_);
    take(host_hashes_, reported, staging_bytes_);
    if (!fault.empty()) { return fault; }
    scratch_ = {scratch_memory_.get(), scratch_bytes};
    if (fault = prepare_resident_kernels(); !fault.empty()) { return fault; }
    // The tables above went through the default stream, which this one does not wait for.
    MILLRACE_CUDA_CHECK(cudaDeviceSynchronize());
    MILLRACE_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    MILLRACE_CUDA_CHECK(launch_numbers(numbers_.get(), shape_.writes_max, stream_));
    // Node 0 is not used, but it can be copied.
    MILLRACE_CUDA_CHECK(cudaMemsetAsync(nodes_.get(), 0, sizeof(ResidentNode), stream_));
    MILLRACE_CUDA_CHECK(cudaStreamSynchronize(stream_));
    return {};
}

std::string ResidentCuda::fill(const Hash256& leaf) {
    MILLRACE_CUDA_CHECK(cudaSetDevice(0));
    const size_t first = tree_leaf(shape_.height, 0);
    MILLRACE_CUDA_CHECK(launch_fill(nodes_.get() + first, first, to_node(leaf), stream_));
    return rehash_all();
}

std::string ResidentCuda::load(std::span<const Hash256> leaves) {
    MILLRACE_CUDA_CHECK(cudaSetDevice(0));
    MILLRACE_CUDA_CHECK(cudaMemcpyAsync(nodes_.get() + tree_leaf(shape_.height, 0), leaves.data(),
                                        leaves.size_bytes(), cudaMemcpyHostToDevice, stream_));
    return rehash_all();
}

std::string ResidentCuda::rehash_all() {
    for (uint32_t first = (uint32_t{1} << shape_.height) / 2; first != 0; first /= 2) {
        ResidentTask task{};
        task.nodes = nodes_.get();
        task.first_node = first;
        task.count = first;
        MILLRACE_CUDA_CHECK(launch_hash_level(shape_.hash, task, stream_));
    }
    MILLRACE_CUDA_CHECK(cudaStreamSynchronize(stream_));
    return {};
}

std::string ResidentCuda::update(uint32_t writes, bool sorted, ResidentReport& report) {
    MILLRACE_CUDA_CHECK(cudaSetDevice(0));
    MILLRACE_CUDA_CHECK(cudaMemcpyAsync(leaves_.get(), host_leaves_.get(),
                                        writes * sizeof(uint32_t), cudaMemcpyHostToDevice,
                                        stream_));
    MILLRACE_CUDA_CHECK(cudaMemcpyAsync(values_.get(), host_values_.get(), writes * sizeof(Hash256),
                                        cudaMemcpyHostToDevice, stream_));
    size_t changed = 0;
    if (std::string fault = run_resident_update(*this, shape_.height, writes, sorted, changed);
        !fault.empty()) {
        return fault;
    }
    return download(changed, report);
}

std::string ResidentCuda::download(size_t changed, ResidentReport& report) {
    const size_t reported = shape_.report_changes ? changed : 0;
    MILLRACE_CUDA_CHECK(cudaMemcpyAsync(host_root_.get(), nodes_.get() + 1, sizeof(Hash256),
                                        cudaMemcpyDeviceToHost, stream_));
    if (reported != 0) {
        MILLRACE_CUDA_CHECK(cudaMemcpyAsync(host_places_.get(), places_.get(),
                                            reported * sizeof(uint32_t), cudaMemcpyDeviceToHost,
                                            stream_));
        MILLRACE_CUDA_CHECK(cudaMemcpyAsync(host_hashes_.get(), changed_hashes_.get(),
                                            reported * sizeof(Hash256), cudaMemcpyDeviceToHost,
                                            stream_));
    }
    MILLRACE_CUDA_CHECK(cudaStreamSynchronize(stream_));
    report = {*host_root_.get(), {host_places_.get(), reported}, {host_hashes_.get(), reported}};
    return {};
}

std::string ResidentCuda::read(size_t first, std::span<Hash256> nodes) {
    MILLRACE_CUDA_CHECK(cudaSetDevice(0));
    MILLRACE_CUDA_CHECK(cudaMemcpyAsync(nodes.data(), nodes_.get() + first, nodes.size_bytes(),
                                        cudaMemcpyDeviceToHost, stream_));
    MILLRACE_CUDA_CHECK(cudaStreamSynchronize(stream_));
    return {};
}

std::string ResidentCuda::sort(uint32_t writes) {
    return sort_writes(scratch_, leaves_.get(), sorted_leaves_.get(), numbers_.get(), order_.get(),
                       writes, shape_.height, stream_);
}

std::string ResidentCuda::settle(uint32_t writes, bool sorted,
                                 std::array<uint32_t, resident_counts>& counts) {
    update_leaves_ = sorted ? leaves_.get() : sorted_leaves_.get();
    MILLRACE_CUDA_CHECK(
        cudaMemsetAsync(counts_.get(), 0, resident_counts * sizeof(uint32_t), stream_));
    const ResidentWrites all{update_leaves_, sorted ? nullptr : order_.get(), values_.get(),
                             writes};
    MILLRACE_CUDA_CHECK(launch_settle(all, shape_.height, nodes_.get(), counts_.get(), stream_));
    MILLRACE_CUDA_CHECK(cudaMemcpyAsync(host_counts_.get(), counts_.get(),
                                        resident_counts * sizeof(uint32_t), cudaMemcpyDeviceToHost,
                                        stream_));
    // The sizes of all launches from here on depend on the counts.
    MILLRACE_CUDA_CHECK(cudaStreamSynchronize(stream_));
    std::copy_n(host_counts_.get(), resident_counts, counts.begin());
    return {};
}

std::string ResidentCuda::list_parents(const ResidentLevel& below, const ResidentLevel& level) {
    const bool leaves = is_leaves(below);
    return detail::list_parents(scratch_, leaves ? update_leaves_ : places_.get() + below.offset,
                                leaves ? below.first_node : 0, below.count,
                                places_.get() + level.offset, counts_.get() + resident_counts,
                                stream_);
}

std::string ResidentCuda::hash_level(const ResidentLevel& level) {
    ResidentTask task = task_at(level.offset);
    task.count = level.count;
    task.first_node = level.first_node;
    // A full level is not listed yet, another one is.
    if (!level.full()) { task.places = task.changed_places; }
    MILLRACE_CUDA_CHECK(launch_hash_level(shape_.hash, task, stream_));
    return {};
}

std::string ResidentCuda::hash_top(const ResidentLevel& below, size_t offset) {
    ResidentTask task = task_at(offset);
    task.count = below.count;
    task.first_node = is_leaves(below) ? below.first_node : 0;
    task.places = is_leaves(below) ? update_leaves_ : places_.get() + below.offset;
    MILLRACE_CUDA_CHECK(launch_hash_top(shape_.hash, task, stream_));
    return {};
}

/// The nodes of a small tree by the device's code on the host.
template <NodeHash hash>
Hash256 root_on_host(std::vector<ResidentNode> nodes) {
    for (size_t i = nodes.size() / 2; i-- > 1;) {
        nodes[i] = node_above<hash>(&nodes[2 * i], node_tables);
    }
    Hash256 root;
    std::memcpy(root.data(), &nodes[1], Hash256::size_bytes);
    return root;
}

Hash256 root_on_host(NodeHash hash, std::vector<ResidentNode> nodes) {
    switch (hash) {
        case NodeHash::keccak256: return root_on_host<NodeHash::keccak256>(std::move(nodes));
        case NodeHash::sha256: return root_on_host<NodeHash::sha256>(std::move(nodes));
        case NodeHash::blake3: return root_on_host<NodeHash::blake3>(std::move(nodes));
    }
    return {};
}

/// A tree of 2,048 leaves of which 1,200 are written in descending order: it sorts, lists, hashes
/// levels and the top.
std::string check_small_tree(NodeHash hash) {
    constexpr unsigned height = 11;
    constexpr uint32_t writes = 1200;
    ResidentCuda tree({.hash = hash, .height = height, .writes_max = writes});
    if (std::string fault = tree.open(); !fault.empty()) { return fault; }
    const Hash256 empty{{0x11}};
    if (std::string fault = tree.fill(empty); !fault.empty()) { return fault; }
    std::vector<ResidentNode> nodes(tree_nodes(height), to_node(empty));
    const ResidentStaging staging = tree.staging();
    for (uint32_t i = 0; i < writes; ++i) {
        Hash256 value{{static_cast<uint8_t>(i), static_cast<uint8_t>(i >> 8), 0x5a}};
        staging.leaves[i] = 2047 - i / 3 * 5;
        staging.values[i] = value;
        nodes[tree_leaf(height, staging.leaves[i])] = to_node(value);
    }
    ResidentReport report;
    if (std::string fault = tree.update(writes, false, report); !fault.empty()) { return fault; }
    if (report.root != root_on_host(hash, std::move(nodes))) {
        return "a small tree of " + std::string(to_string(hash)) + " has a wrong root";
    }
    return {};
}

CudaProbe probe_device() {
    CudaProbe probe = find_cuda_device();
    if (!probe.reason.empty()) { return probe; }
    for (const NodeHash hash : {NodeHash::keccak256, NodeHash::sha256, NodeHash::blake3}) {
        if (std::string fault = check_small_tree(hash); !fault.empty()) {
            probe.reason = probe.target + ": " + fault;
            probe.target.clear();
            return probe;
        }
    }
    probe.available = true;
    return probe;
}

}  // namespace

const CudaProbe& resident_cuda_probe() {
    static const CudaProbe probe = probe_device();
    return probe;
}

std::string make_resident_cuda(const ResidentShape& shape, std::unique_ptr<ResidentStore>& store) {
    auto made = std::make_unique<ResidentCuda>(shape);
    if (std::string fault = made->open(); !fault.empty()) { return fault; }
    store = std::move(made);
    return {};
}

}  // namespace millrace::kernels::detail
