<?php
/**
 * Plugin Name: A Demo
 * Description: Says hello.
 * Version: 1.2.3
 * License: GPL-2.0-or-later
 */
