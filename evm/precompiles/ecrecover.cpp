// SPDX-License-Identifier: Apache-2.0
// Owns the precompile ECRECOVER 0x01.
#include "evm/precompiles/detail/contracts.hpp"
#include "kernels/secp256k1/recover.hpp"

namespace millrace::evm::contracts {

PrecompileOutcome ecrecover(ByteView input, uint64_t gas, Revision) noexcept {
    constexpr uint64_t price = 3000;
    constexpr size_t input_bytes = 128;
    if (gas < price) { return failure(); }
    const FixedBytes<input_bytes> data = padded<input_bytes>(input);
    // v is a whole word; anything but 27 and 28 is no signature. That gives no output, and the
    // price is due all the same.
    const U256 v = load_be(data.data() + 32);
    if (v != U256{27} && v != U256{28}) { return success(price, {}); }
    const kernels::RecoverJob job{.digest = Hash256::from(data.view().first(32)),
                                  .r = load_be(data.data() + 64),
                                  .s = load_be(data.data() + 96),
                                  .y_parity = static_cast<uint8_t>(v.low64() - 27)};
    const std::optional<Address> signer = kernels::recover_address(job);
    if (!signer) { return success(price, {}); }
    Bytes word(32);
    std::copy(signer->begin(), signer->end(), word.begin() + 12);
    return success(price, std::move(word));
}

}  // namespace millrace::evm::contracts
