// SPDX-License-Identifier: Apache-2.0
// Owns the CUDA entries of a build without CUDA: they say so.
#include "kernels/pack/detail/backends.hpp"

namespace millrace::kernels::detail {

const CudaProbe& pack_cuda_probe() {
    static const CudaProbe probe{.available = false, .target = {}, .reason = "built without CUDA"};
    return probe;
}

template <class T>
std::string any_cuda(const PackJob<T>& /*job*/, std::span<T> /*any*/) {
    return pack_cuda_probe().reason;
}
template <class T>
std::string minimum_cuda(const PackJob<T>& /*job*/, std::span<T> /*minima*/) {
    return pack_cuda_probe().reason;
}
template <class T>
std::string pack_cuda(const PackJob<T>& /*job*/, std::span<uint8_t> /*packed*/,
                      std::span<T> /*any*/) {
    return pack_cuda_probe().reason;
}
template <class T>
std::string unpack_cuda(const PackJob<T>& /*job*/, std::span<T> /*values*/, std::span<T> /*any*/) {
    return pack_cuda_probe().reason;
}
template <class T>
std::string encode_cuda(const PackJob<T>& /*job*/, CodeKind /*code*/, std::span<T> /*coded*/,
                        std::span<uint32_t> /*refused*/) {
    return pack_cuda_probe().reason;
}
template <class T>
std::string decode_cuda(const PackJob<T>& /*job*/, CodeKind /*code*/, std::span<T> /*values*/,
                        std::span<uint32_t> /*refused*/) {
    return pack_cuda_probe().reason;
}
template <class T>
std::string widths_cuda(const PackJob<T>& /*job*/, std::span<uint32_t> /*histograms*/) {
    return pack_cuda_probe().reason;
}

std::string byte_histogram_cuda(std::span<const uint8_t> /*bytes*/,
                                std::span<const uint32_t> /*counts*/,
                                std::span<uint32_t> /*histograms*/) {
    return pack_cuda_probe().reason;
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
