// Stands in for a type of the SAML library that x-pack's actions name. Nothing calls it: there is no SAML realm.
package org.opensaml.core.xml;

public interface XMLObject {}
