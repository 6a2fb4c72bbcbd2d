// SPDX-License-Identifier: Apache-2.0
// Owns the contract that the Foundry test deploys and calls.
pragma solidity ^0.8.20;

contract Counter {
    uint256 public number;
    event Changed(address indexed by, uint256 number);

    constructor(uint256 start) {
        number = start;
    }

    function increment() external {
        number += 1;
        emit Changed(msg.sender, number);
    }
}
