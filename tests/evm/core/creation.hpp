// SPDX-License-Identifier: Apache-2.0
// Owns how tests write creations.
#pragma once

#include "tests/evm/core/machine.hpp"

namespace millrace::evm::test {

/// CREATE of init code in memory; leaves the address.
inline Code create(ByteView init, const U256& value = 0) {
    return Code().put(init).push_all(init.size(), 0).push(value).op(Opcode::create);
}
inline Code create2(ByteView init, const U256& salt, const U256& value = 0) {
    return Code().put(init).push(salt).push_all(init.size(), 0).push(value).op(Opcode::create2);
}
/// CREATE or CREATE2 with salt 0.
inline Code create_by(Opcode kind, ByteView init, const U256& value = 0) {
    return kind == Opcode::create ? create(init, value) : create2(init, 0, value);
}
/// The instructions that create, with their forks.
inline std::vector<std::pair<Opcode, Revision>> creations() {
    return {{Opcode::create, Revision::frontier}, {Opcode::create2, Revision::constantinople}};
}

}  // namespace millrace::evm::test
