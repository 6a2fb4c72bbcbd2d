// SPDX-License-Identifier: Apache-2.0
// Owns machine code in memory: objects are linked into pages that are never writable and executable
// at once.
#pragma once

#include <memory>

#include "evm/jit/runtime.hpp"
#include "host/base/error.hpp"

namespace millrace::evm::jit {

/// Code of one contract in memory, until it is destroyed.
class LoadedCode {
public:
    virtual ~LoadedCode() = default;
    ContractEntry entry = nullptr;
};

/// Links objects of compile_object. Thread-safe.
class Loader {
public:
    static Result<std::unique_ptr<Loader>> create();
    virtual ~Loader() = default;
    /// The code is gone when the result is destroyed, which must be before the loader is.
    virtual Result<std::unique_ptr<LoadedCode>> load(ByteView object) = 0;
};

}  // namespace millrace::evm::jit
