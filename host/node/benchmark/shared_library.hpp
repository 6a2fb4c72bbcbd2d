// SPDX-License-Identifier: Apache-2.0
// Owns libraries that are loaded only when they are asked for.
#pragma once

#include <memory>
#include <string>

#include <dlfcn.h>

#include "host/base/error.hpp"

namespace millrace::node {

/// A shared library of this machine. It stays loaded until the process ends: what it keeps for its
/// threads outlives any object of ours.
class SharedLibrary {
public:
    /// `ErrorCode::unavailable`, with the loader's reason, when it is not there.
    static Result<SharedLibrary> load(const char* name) {
        void* const handle = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
        if (handle == nullptr) { return fail(ErrorCode::unavailable, dlerror()); }
        return SharedLibrary{handle};
    }

    /// Sets `function` to the one of this name. `ErrorCode::unavailable` when there is none.
    template <class Function>
    Result<void> find(const char* name, Function*& function) const {
        void* const address = dlsym(handle_.get(), name);
        if (address == nullptr) {
            return fail(ErrorCode::unavailable, std::string{"there is no function "} + name);
        }
        function = reinterpret_cast<Function*>(address);
        return {};
    }

private:
    struct Close {
        void operator()(void* handle) const noexcept { dlclose(handle); }
    };
    explicit SharedLibrary(void* handle) : handle_(handle) {}
    std::unique_ptr<void, Close> handle_;
};

}  // namespace millrace::node
