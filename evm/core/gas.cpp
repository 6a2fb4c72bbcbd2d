// SPDX-License-Identifier: Apache-2.0
// Owns the price of SSTORE through the forks.
#include "evm/core/gas.hpp"

namespace millrace::evm::gas {

StorageCost sstore(Revision r, bool original_is_current, bool current_is_new, bool original_is_new,
                   bool original_is_zero, bool current_is_zero, bool new_is_zero) noexcept {
    const bool net_metered = r >= Revision::istanbul || r == Revision::constantinople;
    if (!net_metered) {
        return {current_is_zero && !new_is_zero ? sstore_set : sstore_reset,
                !current_is_zero && new_is_zero ? 15000 : 0};
    }
    const int64_t no_change = r >= Revision::berlin ? warm : r >= Revision::istanbul ? 800 : 200;
    const int64_t reset = r >= Revision::berlin ? sstore_reset - cold_slot : sstore_reset;
    const int64_t clear_refund = r >= Revision::london ? 4800 : 15000;
    if (current_is_new) { return {no_change, 0}; }
    if (original_is_current) {
        if (original_is_zero) { return {sstore_set, 0}; }
        return {reset, new_is_zero ? clear_refund : 0};
    }
    StorageCost c{no_change, 0};
    if (!original_is_zero) {
        if (current_is_zero) {
            c.refund -= clear_refund;
        } else if (new_is_zero) {
            c.refund += clear_refund;
        }
    }
    if (original_is_new) {
        c.refund += original_is_zero ? sstore_set - no_change : reset - no_change;
    }
    return c;
}

}  // namespace millrace::evm::gas
