// SPDX-License-Identifier: Apache-2.0
// Owns the engine's view of an accelerator, so that tests can supply one that fails.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "kernels/backend.hpp"

namespace millrace::kernels::detail {

/// A device that hashes batches. The engine calls it from one thread at a time and trusts neither
/// its digests nor their count.
class KeccakDevice {
public:
    virtual ~KeccakDevice() = default;
    virtual BackendStatus status() const = 0;
    /// Fills `digests`, which comes in empty, with one digest for each message.
    virtual Result<void> keccak256(std::span<const ByteView> messages,
                                   std::vector<Hash256>& digests) = 0;
};

/// The CUDA back end of kernels/keccak as a device.
std::unique_ptr<KeccakDevice> make_cuda_keccak_device();

}  // namespace millrace::kernels::detail
