// SPDX-License-Identifier: Apache-2.0
// Owns Keccak-256 of many messages at once: one call, three back ends with byte-equal results.
#pragma once

#include <span>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "kernels/backend.hpp"

namespace millrace::kernels {

/// Writes the Keccak-256 of messages[i] to digests[i]. Lengths may be mixed; the digests must not
/// overlap the messages. Any thread; callers of the CUDA back end take turns on the device.
/// Fails with `invalid_input` when the counts differ, `unavailable` when the back end is absent,
/// and `internal` on a device error; after a failure the digests are unspecified. The scalar and
/// SIMD back ends allocate nothing and fail only on differing counts.
Result<void> keccak256_batch(Backend backend, std::span<const ByteView> messages,
                             std::span<Hash256> digests);

/// As above for messages of `message_bytes` each that lie one after the other: message i starts at
/// messages[i * message_bytes]. Fails with `invalid_input` unless messages.size() is
/// digests.size() * message_bytes.
Result<void> keccak256_batch(Backend backend, ByteView messages, size_t message_bytes,
                             std::span<Hash256> digests);

/// Whether a back end can be used here, on what it runs, and why not. The CUDA driver is probed by
/// the first call and the answer kept; no device, driver or library is needed to ask.
BackendStatus keccak_backend_status(Backend backend);

}  // namespace millrace::kernels
