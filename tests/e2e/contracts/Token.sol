// SPDX-License-Identifier: Apache-2.0
// Owns the ERC-20 of the tests: OpenZeppelin's, with its supply given to the deployer.
pragma solidity ^0.8.20;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

contract Token is ERC20 {
    constructor(string memory name, string memory symbol, uint256 supply) ERC20(name, symbol) {
        _mint(msg.sender, supply);
    }
}
